"""Hydra composes trainer and model as users type them."""

import pytest
from hydra import compose, initialize
from hydra.core.config_store import ConfigStore
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf

import aeros_torch


@pytest.fixture
def composed():
    store = ConfigStore.instance()
    for name, option in aeros_torch.aeros_trainers().items():
        store.store(group="trainer", name=name, node=OmegaConf.structured(option))
    for name, option in aeros_torch.aeros_models().items():
        store.store(group="trainer/model", name=name, node=OmegaConf.structured(option))
    store.store(name="torch_root", node={"defaults": ["_self_", {"trainer": "torch"}]})

    def compose_with(*overrides):
        with initialize(version_base="1.3", config_path=None):
            return compose("torch_root", overrides=list(overrides)).trainer

    return compose_with


def test_model_is_mlp_unless_chosen(composed):
    trainer = composed()
    assert trainer.model._target_ == "aeros_torch.modules.models.Mlp"
    assert trainer.model.hidden == [200]
    assert "defaults" not in trainer


def test_model_and_its_options_are_chosen_by_name(composed):
    trainer = composed("trainer/model=cnn", "trainer.model.channels=[8,16]", "trainer.lr=0.5")
    assert trainer.model._target_ == "aeros_torch.modules.models.Cnn"
    assert (trainer.model.channels, trainer.lr) == ([8, 16], 0.5)


def test_optional_and_free_options(composed):
    trainer = composed(
        "trainer.momentum=0.9",
        "trainer.steps=5",
        "trainer.scheduler=StepLR",
        "+trainer.scheduler_options.step_size=3",
        "+trainer.optimizer_options={nesterov: true}",
    )
    assert (trainer.momentum, trainer.steps) == (0.9, 5)
    assert trainer.scheduler_options == {"step_size": 3}
    assert trainer.optimizer_options == {"nesterov": True}


@pytest.mark.parametrize(
    "override",
    ["trainer.lr=fast", "trainer.model.hiden=[3]", "trainer.model.activation=step"],
)
def test_names_and_types_are_checked_at_composition(composed, override):
    with pytest.raises(ConfigCompositionException):
        composed(override)

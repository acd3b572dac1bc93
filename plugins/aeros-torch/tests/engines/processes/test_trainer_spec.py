import json
from functools import partial

import pytest

from aeros_core.errors import ConfigError
from aeros_torch.engines.processes.trainer_spec import draw, rebuild
from aeros_torch.modules import models

SMALL = {"hidden": [7], "activation": "tanh", "dropout": 0.25}


def test_a_workshop_is_built_again_from_plain_data(trainer, data):
    made = trainer(partial(models.Mlp, **SMALL), lr=0.3, optimizer="adam", clip_norm=2.0, epochs=3)
    context = made.context(data(shape=(2, 3)).schema)
    again = rebuild(json.loads(json.dumps(draw(context))), "cpu")
    assert again.schema == context.schema
    assert again.network.layout == context.network.layout
    assert (again.recipe.epochs, again.recipe.clip_norm) == (3, 2.0)
    assert again.recipe.optimizer.name == "Adam"
    assert again.network.module.layers[2].p == 0.25


def test_a_model_without_options(trainer, data):
    context = trainer(models.Softmax).context(data().schema)
    assert rebuild(draw(context), "cpu").network.layout == context.network.layout


def test_a_model_that_no_module_holds_cannot_be_drawn(trainer, data, small):
    def model(inputs, outputs):
        return small(inputs=inputs, outputs=outputs)

    assert "model is not in a module of its own" in draw(trainer(model).context(data().schema))


def test_options_that_are_not_plain_cannot_be_drawn(trainer, data):
    odd = partial(models.Mlp, **{**SMALL, "hidden": (7,)})
    assert draw(trainer(odd).context(data().schema)) == "the option hidden is not plain data"


def test_another_model_of_the_same_name_is_refused(trainer, data):
    told = draw(trainer(partial(models.Mlp, **SMALL)).context(data().schema))
    told["model_options"]["hidden"] = [8]
    with pytest.raises(ImportError, match="Mlp builds another model in another process"):
        rebuild(told, "cpu")


def test_workers_by_name_say_what_they_cannot_do(trainer, data, small):
    def model(inputs, outputs):
        return small(inputs=inputs, outputs=outputs)

    with pytest.raises(ConfigError, match=r"workers cannot train this: the model .*model is not"):
        trainer(model, engine="workers").initialise(data().schema, 0)

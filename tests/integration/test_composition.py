"""Every experiment composes with every deployment, and every option can be built."""

import importlib.util
from pathlib import Path

import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from aeros_core.cli.options import catalogue
from aeros_core.config import build, store
from aeros_core.errors import ConfigError
from aeros_core.plugins import discovery

CONF = Path(__file__).parents[2] / "conf"
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
DEPLOYMENTS = sorted(path.stem for path in (CONF / "deployment").glob("*.yaml"))


@pytest.fixture(scope="module")
def registry():
    return discovery.discover()


@pytest.fixture(autouse=True)
def _clean():
    yield
    GlobalHydra.instance().clear()


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("deployment", DEPLOYMENTS)
def test_composes_and_builds(registry, experiment, deployment, tmp_path):
    words = [f"experiment={experiment}", f"deployment={deployment}"]
    cfg = store.load([*words, f"repository.path={tmp_path / 'store'}"], registry)
    job = build.build(cfg, registry)
    assert job.task.name
    assert job.parts.identity


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize("deployment", ["flower", "flower_simulation"])
def test_composes_over_flower(registry, experiment, deployment, tmp_path, monkeypatch):
    pytest.importorskip("aeros_flower")
    monkeypatch.chdir(tmp_path)  # where nobody said `aeros up`
    words = [f"experiment={experiment}", f"deployment={deployment}", "repository.path=store"]
    cfg = store.load(words, registry)
    if deployment == "flower_simulation" and importlib.util.find_spec("ray") is None:
        with pytest.raises(ConfigError, match="needs Ray, which is not installed"):
            build.build(cfg, registry)
    else:
        job = build.build(cfg, registry)
        assert type(job.controller).__module__.startswith("aeros_flower")
        assert (
            job.parts.identity == build.build(_local(experiment, registry), registry).parts.identity
        )


def _local(experiment, registry):
    words = [f"experiment={experiment}", "deployment=local", "repository.path=store"]
    return store.load(words, registry)


def test_deployment_is_short_and_names_no_algorithm():
    for path in (CONF / "deployment").glob("*.yaml"):
        text = path.read_text()
        assert len(text.splitlines()) <= 16, path
        assert not any(word in text for word in ("/trainer", "/collector", "/transformer")), path


def test_experiment_names_no_transport():
    for path in (CONF / "experiment").glob("*.yaml"):
        text = path.read_text()
        assert not any(word in text for word in ("/controller", "/repository", "/deployment")), path


def test_every_collector_is_built_with_its_defaults(registry):
    holders = {"ema", "swa", "tree"}
    for name in registry.names("collector"):
        if name in holders:  # what it holds is chosen in composition
            data = store.plain(store.load([f"collector={name}"], registry))["collector"]
        else:
            default = OmegaConf.structured(registry.options["collector", name].config)
            data = OmegaConf.to_container(default, enum_to_str=True)
        assert hasattr(build.build_part(registry, "collector", data, name), "aggregate")


@pytest.mark.parametrize(("holder", "rule"), [("ema", "fedasync"), ("swa", "krum")])
def test_a_rule_can_be_held(registry, holder, rule):
    words = ["experiment=digits", f"collector={holder}", f"collector/rule={rule}"]
    job = build.build(store.load(words, registry), registry)
    assert job.parts.config["collector"]["rule"]["_option_"] == rule


def test_the_rule_above_the_groups_is_chosen_too(registry):
    words = ["collector/rule=median", "collector/rule@collector.outer=fedavgm"]
    cfg = store.load(["collector=tree", *words, "collector.outer.momentum=0.5"], registry)
    assert cfg.collector.outer.momentum == 0.5
    assert "aeros-aggregators" in build.build(cfg, registry).parts.versions


def _used(registry):
    """Yield the words of every command that `aeros options` advises, once."""
    for choice in catalogue.choices(registry):
        words = choice.use.split()
        if words[:2] == ["aeros", "run"] and "-m" not in words:
            yield words[2:]


def test_the_command_that_options_shows_composes(registry):
    seen = 0
    for words in _used(registry):
        assert store.load(words, registry), words
        seen += 1
    assert seen > 80


def test_every_option_has_a_summary_and_describes_its_fields(registry):
    for choice in catalogue.choices(registry):
        assert choice.summary, f"{choice.group}={choice.name}"
        bare = [field.option for field in choice.fields if not field.description]
        assert not bare, f"{choice.group}={choice.name}"

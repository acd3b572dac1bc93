"""Defaults stand in one place, and presets can be read, copied and changed."""

import dataclasses
import inspect
import shutil
from pathlib import Path

import pytest
import yaml

from aeros_core.config import build, store
from aeros_core.config.loading.loader import GuardedLoader
from aeros_core.errors import ConfigError
from aeros_core.plugins import discovery

ROOT = Path(__file__).parents[2]
CONF = ROOT / "conf"
PRESETS = sorted(
    [
        *CONF.glob("experiment/*.yaml"),
        *CONF.glob("deployment/*.yaml"),
        *ROOT.glob("plugins/*/src/*/conf/*/*.yaml"),
    ]
)


def chosen(root):
    """Return what a root's defaults list chooses, by group."""
    listed = yaml.safe_load(root.read_text())["defaults"]
    return {k: v for each in listed if isinstance(each, dict) for k, v in each.items()}


def test_no_constructor_has_a_default_of_its_own():
    for (group, name), option in discovery.discover().options.items():
        try:
            made = inspect.signature(discovery.implementation(option.target))
        except (TypeError, ValueError, ImportError):
            continue
        names = {field.name for field in dataclasses.fields(option.config)}
        twice = {p.name for p in made.parameters.values() if p.default is not p.empty} & names
        assert not twice, f"{group}={name}"


def test_the_roots_choose_alike():
    run, models = chosen(CONF / "config.yaml"), chosen(CONF / "models.yaml")
    assert models == {group: run[group] for group in ("controller", "repository", "deployment")}
    serve = ROOT / "plugins/aeros-serving/src/aeros_serving/conf/serve.yaml"
    assert not models.keys() & chosen(serve).keys()


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_preset_names_its_command_and_what_it_is(path):
    lines = path.read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1].startswith(f"# aeros run {path.parent.name}={path.stem}")
    assert lines[2].startswith("# ")
    assert max(map(len, lines)) <= 100


def test_a_copy_of_the_template_is_the_same_experiment(tmp_path):
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    shutil.copy(CONF / "experiment/template.yaml", folder / "mine.yaml")
    registry = discovery.discover()
    path = f"hydra.searchpath=[file://{tmp_path / 'conf'}]"
    with GuardedLoader.typing([path]):
        mine = build.build(store.load(["experiment=mine", path], registry), registry)
    template = build.build(store.load(["experiment=template"], registry), registry)
    assert mine.parts.identity == template.parts.identity


def test_a_part_of_an_earlier_version_has_the_default_of_an_option_that_was_added():
    registry = discovery.discover()
    node = {"_role_": "collector", "_option_": "trimmed_mean"}
    made = build.build_part(registry, "collector", node)
    whole = registry.defaults("collector", "trimmed_mean")
    assert vars(made) == vars(build.build_part(registry, "collector", {**node, **whole}))
    with pytest.raises(ConfigError, match=r"collector\.trim must be"):
        build.build_part(registry, "collector", {**node, "trim": 0.7})

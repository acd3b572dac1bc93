"""Stored configurations: parts by role and option, never by the path of a class."""

import json
from dataclasses import dataclass, field

import pytest

from aeros_core.config import instantiate
from aeros_core.config.naming import name_parts
from aeros_core.errors import PluginError
from aeros_core.former_targets import FORMER_TARGETS
from aeros_core.options import choices
from aeros_core.options.metadata import former_name
from aeros_core.plugins.registry import Option, Plugin, Registry

PLUGIN = Plugin("lib", "lib-aeros", "2.1", "lib")


@dataclass
class Tree:
    _target_: str = "lib.Tree"
    size: int = 2
    rule: object = None


@dataclass
class Mean:
    _target_: str = "lib.Mean"
    momentum: float = field(default=0.9, metadata=former_name("inertia"))


@dataclass
class Small:
    _target_: str = "lib.Net"
    layers: list[int] = field(default_factory=lambda: [4])


@dataclass
class Large(Small):
    layers: list[int] = field(default_factory=lambda: [400, 40])


@dataclass
class Ensemble:
    _target_: str = "lib.Ensemble"
    members: dict[str, object] = field(default_factory=dict)


OPTIONS = {
    ("collector", "tree"): Tree, ("collector", "mean"): Mean, ("collector/rule", "mean"): Mean,
    ("trainer", "small"): Small, ("trainer", "large"): Large, ("transformer", "small"): Small,
    ("transformer", "large"): Large, ("inferencer", "ensemble"): Ensemble,
    ("inferencer", "tree"): Tree,
}  # fmt: skip


@pytest.fixture
def registry():
    return Registry((PLUGIN,), {key: Option(*key, kind, PLUGIN) for key, kind in OPTIONS.items()})


def named(role, option, **options):
    said = {"_distribution_": "lib-aeros", "_version_": "2.1"}
    return {"_role_": role, "_option_": option, **said, **options}


def test_parts_and_parts_within_parts_are_named(registry):
    rule = {"_target_": "lib.Mean", "momentum": 0.5}
    config = {"collector": {"_target_": "lib.Tree", "size": 3, "rule": rule}, "task": {"seed": 1}}
    assert name_parts(registry, config) == {
        "collector": named("collector", "tree", size=3,
                           rule=named("collector/rule", "mean", momentum=0.5)),
        "task": {"seed": 1},
    }  # fmt: skip


def test_parts_below_a_mapping_have_the_role_of_what_holds_them(registry):
    members = {"a": {"model": "m:1", "inferencer": {"_target_": "lib.Tree"}}}
    config = {"inferencer": {"_target_": "lib.Ensemble", "members": members}}
    found = name_parts(registry, config)["inferencer"]["members"]["a"]
    assert found == {"model": "m:1", "inferencer": named("inferencer", "tree")}


def test_no_import_path_is_left(registry):
    config = {
        "collector": {"_target_": "lib.Mean"},
        "transformer": {"large": {"_target_": "lib.Net"}},
    }
    assert "lib." not in json.dumps(name_parts(registry, config)).replace("lib-aeros", "")


def test_what_is_named_already_stays_as_it_was_written(registry):
    config = {"collector": named("collector", "mean", momentum=0.1) | {"_version_": "1.0"}}
    assert name_parts(registry, config) == config


@pytest.mark.parametrize(
    ("group", "key", "layers", "option"),
    [("trainer", "", [400, 40], "large"), ("trainer", "", [4], "small"),
     ("transformer", "small", [400, 40], "small"), ("transformer", "large", [4], "large")],
)  # fmt: skip
def test_options_of_one_class_are_told_apart_by_their_key_or_their_defaults(
    registry, group, key, layers, option
):
    node = {"_target_": "lib.Net", "layers": layers}
    assert registry.chosen(group, node, key).name == option


def test_an_option_by_its_former_name_has_its_current_one(registry):
    node = {"_target_": "lib.Mean", "inertia": 0.2}
    assert name_parts(registry, {"collector": node})["collector"]["momentum"] == 0.2
    both = {"_target_": "lib.Mean", "inertia": 0.2, "momentum": 0.3}
    found = name_parts(registry, {"collector": both})["collector"]
    assert (found["momentum"], "inertia" in found) == (0.3, False)


def test_a_path_that_a_class_had_before_is_known(registry, monkeypatch):
    monkeypatch.setattr("aeros_core.plugins.registry.FORMER_TARGETS", {"old.place.Mean": ("mean",)})
    node = {"_target_": "old.place.Mean", "momentum": 0.2}
    assert name_parts(registry, {"collector": node})["collector"] == named(
        "collector", "mean", momentum=0.2
    )


@pytest.mark.parametrize(
    "node",
    [{"_target_": "gone.Rule", "momentum": 0.2}, {"_target_": "lib.Net"},
     {"_role_": "collector", "_option_": "gone"}, {"_role_": "trainer", "_option_": "mean"}],
)  # fmt: skip
def test_what_nothing_is_registered_for_stays_and_is_not_built(registry, node):
    assert name_parts(registry, {"collector": node})["collector"] == node
    with pytest.raises(PluginError):
        instantiate.build_part(registry, "collector", node)


def test_a_path_that_no_alias_knows_is_told_with_what_exists(registry):
    with pytest.raises(PluginError) as refused:
        instantiate.build_part(registry, "collector", {"_target_": "gone.place.Rule"})
    assert str(refused.value) == (
        "collector: _target_=gone.place.Rule is not registered for collector\n"
        "  exists: mean, tree\n"
        "  next: choose one by name, as in collector=<option>; configuration never runs code"
    )


def test_an_option_whose_plugin_is_gone_names_the_distribution_that_had_it(registry):
    node = {"_role_": "collector", "_option_": "gone", "_distribution_": "far-rules",
            "_version_": "3.0"}  # fmt: skip
    with pytest.raises(PluginError) as refused:
        instantiate.build_part(registry, "collector", node)
    assert str(refused.value) == (
        "collector=gone does not exist\n"
        "  exists: mean, tree\n"
        "  provider: far-rules 3.0 had it when this was stored\n"
        "  next: aeros options collector lists them"
    )


def test_a_part_that_a_configuration_marks_is_still_only_one_that_is_registered(registry):
    marked = {"_target_": "lib.Mean", "_version_": "9", "_distribution_": "x", "momentum": 0.5}
    assert name_parts(registry, {"collector": marked})["collector"] == named(
        "collector", "mean", momentum=0.5
    )


def test_every_former_path_names_options_and_no_other_path():
    for target, options in FORMER_TARGETS.items():
        assert target.startswith("aeros_")
        assert options
        assert all(name.isidentifier() for name in options)


def test_a_part_is_called_by_its_option_whoever_wrote_it():
    assert choices.option_name({"_option_": "mean"}) == "mean"
    assert choices.option_name({"_target_": "aeros_aggregators.linear.FedAvg"}) == "fedavg"
    assert choices.option_name({"_target_": "far.Median"}) == "Median"
    assert choices.distribution_of({"_target_": "far_rules.x.Median"}) == "far-rules"

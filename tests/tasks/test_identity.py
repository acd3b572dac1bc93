"""What decides the result of a run, and by which it is known again."""

import dataclasses

import pytest

from aeros_core.config.naming import name_parts
from aeros_core.options.metadata import former_name
from aeros_core.plugins.registry import Option, Plugin, Registry
from aeros_core.tasks import identity

PLUGIN = Plugin("lib", "lib", "1.0", "lib")


@dataclasses.dataclass
class Even:
    _target_: str = "lib.Even"
    clients: int = 10


@dataclasses.dataclass
class Linear:
    _target_: str = "lib.Linear"
    lr: float = 0.1
    layers: list[int] = dataclasses.field(default_factory=lambda: [4])


@dataclasses.dataclass
class Mean:
    _target_: str = "lib.Mean"
    momentum: float = 0.9


@dataclasses.dataclass
class Moved(Mean):
    """The rule after a later version moved its class, renamed an option and added one."""

    _target_: str = "lib.rules.Mean"
    momentum: float = dataclasses.field(default=0.9, metadata=former_name("inertia"))
    nesterov: bool = False


def registry(rule=Mean):
    found = {("transformer", "even"): Even, ("trainer", "linear"): Linear,
             ("collector", "mean"): rule, ("collector", "other"): Linear}  # fmt: skip
    return Registry((PLUGIN,), {key: Option(*key, kind, PLUGIN) for key, kind in found.items()})


CONFIG = {
    "task": {"name": "toy", "seed": 0, "rounds": 3},
    "transformer": {"even": {"_target_": "lib.Even", "clients": 6}},
    "trainer": {"_target_": "lib.Linear", "lr": 0.5},
    "collector": {"_target_": "lib.Mean", "momentum": 0.0},
    "repository": {"_target_": "lib.Files", "path": "store"},
}


def decisive(config, known=None):
    known = known or registry()
    return identity.decisive(name_parts(known, config), known.defaults)


def changed(*path, value):
    """Return the configuration with one value changed."""
    config = dict(CONFIG)
    inner = config
    for key in path[:-1]:
        inner[key] = dict(inner[key])
        inner = inner[key]
    inner[path[-1]] = value
    return config


SAME = [
    ("task", "name"), ("task", "rounds"), ("task", "resume"), ("task", "stop"),
    ("task", "subtasks"), ("task", "deadline"), ("task", "below_quorum"), ("task", "attempts"),
    ("repository", "path"), ("controller",),
    ("callback",), ("infrastructure",), ("deployment",),
]  # fmt: skip
OTHER = [
    ("task", "seed"), ("task", "cohort"), ("task", "quorum"), ("task", "ordered"),
    ("task", "evaluation"), ("trainer", "lr"), ("collector", "momentum"),
    ("transformer", "even", "clients"),
]  # fmt: skip


@pytest.mark.parametrize("path", SAME, ids=".".join)
def test_what_does_not_decide_the_result_is_no_part_of_the_identity(path):
    assert decisive(changed(*path, value="new")) == decisive(CONFIG)


@pytest.mark.parametrize("path", OTHER, ids=".".join)
def test_what_decides_the_result_is(path):
    assert decisive(changed(*path, value="new")) != decisive(CONFIG)


def test_nested_options_are_flattened_to_what_a_person_types():
    assert identity.flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {
        "a.b": 1,
        "a.c.d": [2],
        "e": None,
    }


@pytest.mark.parametrize(
    ("path", "value"),
    [(("trainer", "layers"), [4]), (("trainer", "lr"), 0.1), (("task", "max_share"), 0.5),
     (("task", "evaluation"), {"every": 1, "federated": False})],
)  # fmt: skip
def test_an_option_at_its_default_changes_nothing(path, value):
    without = changed(*path, value=value)
    del without[path[0]][path[1]]
    assert decisive(changed(*path, value=value)) == decisive(without)


def test_a_run_is_known_again_after_its_class_moved_and_its_options_were_renamed(monkeypatch):
    old = changed("collector", value={"_target_": "lib.Mean", "inertia": 0.5})
    later = registry(Moved)
    monkeypatch.setattr("aeros_core.plugins.registry.FORMER_TARGETS", {"lib.Mean": ("mean",)})
    new = changed("collector", value={"_target_": "lib.rules.Mean", "momentum": 0.5})
    assert decisive(old, later) == decisive(new, later)
    new["collector"]["nesterov"] = True
    assert decisive(old, later) != decisive(new, later)


def test_a_stored_record_is_known_again_whichever_version_wrote_it():
    stored = name_parts(registry(), CONFIG)
    stored["collector"]["_version_"] = "0.0.1"
    assert decisive(stored) == decisive(CONFIG)


def test_another_option_is_another_run():
    assert decisive(changed("collector", "_target_", value="lib.Linear")) != decisive(CONFIG)


def test_differences_are_told_as_they_are_typed_defaults_included():
    known = registry()
    named = [name_parts(known, c) for c in (changed("trainer", "lr", value=0.1), CONFIG)]
    told = identity.differences(*named, lambda config: identity.decisive(config, known.defaults))
    assert told == ["trainer.lr=0.1"]
    other = name_parts(known, changed("collector", value={"_target_": "lib.Linear"}))
    told = identity.differences(other, named[1], lambda c: identity.decisive(c, known.defaults))
    assert told == ["collector=other", "collector.momentum=absent"]

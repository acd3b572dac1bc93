"""Types of options: what is plain needs no OmegaConf, and agrees with it."""

from __future__ import annotations

import dataclasses
from enum import Enum
from typing import Any, Literal, Optional

import pytest
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aeros_core.options import option_types


class Colour(Enum):
    red = "red"


PLAIN = [
    (str, "a"), (int, 3), (float, 3), (float, 0.5), (bool, True), (Any, None), (Any, [1, {"a": 2}]),
    (Colour, Colour.red), (str | None, None), (Optional[int], 4), (list[str], ["a"]),  # noqa: UP045
    (list[Any], ["_self_", {"rule": "fedavg"}]), (dict[str, Any], {"a": [1]}), (dict[str, str], {}),
]  # fmt: skip
OTHER = [
    (int, "a"), (bool, 1), (Literal["a"], "a"), (object, None), (list[object], []), (int | str, 1),
    (dict[str, object], {}), (list[int], ["a"]), (Colour, "red"), (set[str], set()),
]  # fmt: skip


def made(hint, value):
    field = dataclasses.field(default_factory=lambda: value)
    return dataclasses.make_dataclass("Made", [("option", hint, field)])


@pytest.mark.parametrize(("hint", "value"), PLAIN, ids=str)
def test_what_is_plain_is_held_and_not_asked_about(hint, value, monkeypatch):
    OmegaConf.structured(made(hint, value))
    monkeypatch.setattr(option_types, "_ask_omegaconf", None)
    option_types.check("part", made(hint, value))


@pytest.mark.parametrize(("hint", "value"), OTHER, ids=str)
def test_of_everything_else_omegaconf_decides(hint, value):
    try:
        OmegaConf.structured(made(hint, value))
    except OmegaConfBaseException:
        with pytest.raises(TypeError, match="part: "):
            option_types.check("part", made(hint, value))
    else:
        option_types.check("part", made(hint, value))


def test_a_default_out_of_proportion_is_refused():
    with pytest.raises(ValueError, match="the default of option has 100,001 members"):
        option_types.check("part", made(list[int], [0] * 100_001))

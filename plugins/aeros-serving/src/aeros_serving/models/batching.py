"""How requests for a model become batches, as the options say it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from aeros_core.errors import ConfigError
from aeros_serving.config import Mode, Serving

__all__ = ["Batching"]

_LEAST = {"max_batch": 1, "delay": 0, "max_queue": 1, "deadline": 0}
_SECONDS = ("delay", "deadline")


@dataclass(frozen=True, slots=True)
class Batching:
    """How requests for a model become batches; the options of `config.Serving`."""

    max_batch: int
    preferred: tuple[int, ...]
    delay: float
    max_queue: int
    deadline: float
    batching: Mode = Mode.auto

    def single(self, dependent: str) -> bool:
        """Tell whether requests of a version go through the model one by one.

        Args:
            dependent: How its predictions depend on the rows beside; empty: they do not.
        """
        return self.batching is Mode.never or (self.batching is Mode.auto and bool(dependent))

    def within(self, fixed_rows: int | None) -> Batching:
        """Return options whose batches are no larger than what a model computes at a time.

        Args:
            fixed_rows: The number of rows that it computes at a time; None: any.
        """
        if fixed_rows is None or fixed_rows >= self.max_batch:
            return self
        preferred = tuple(size for size in self.preferred if size <= fixed_rows)
        return replace(self, max_batch=fixed_rows, preferred=preferred)

    @classmethod
    def of(cls, options: Serving, name: str) -> Batching:
        """Return the options of one model.

        Raises:
            ConfigError: A value cannot be, or an option does not exist.
        """
        values: dict[str, Any] = {key: getattr(options, key) for key in cls.__slots__}
        own = _own(options, name, values)
        values |= own
        typed = {k: f"serving.models.{name}.{k}" if k in own else f"serving.{k}" for k in values}
        for key, least in _LEAST.items():
            _check(typed[key], values[key], least, seconds=key in _SECONDS)
        _check_sizes(typed, values["preferred"], values["max_batch"])
        mode = _mode(typed["batching"], values["batching"])
        preferred = tuple(sorted(values["preferred"]))
        return cls(**values | {"preferred": preferred, "batching": mode})


def _own(options: Serving, name: str, known: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the options that hold for one model alone."""
    own = options.models.get(name) or {}
    if not isinstance(own, Mapping):
        raise ConfigError(
            f"serving.models.{name}={own} is not possible",
            exists=f"options: {', '.join(sorted(known))}",
            hint=f"+serving.models.{name}.delay=0.002",
        )
    if unknown := sorted(own.keys() - known.keys()):
        raise ConfigError(
            f"option 'serving.models.{name}.{unknown[0]}' does not exist",
            exists=", ".join(sorted(known)),
        )
    return own


def _mode(typed: str, value: Any) -> Mode:
    modes = {mode.value: mode for mode in Mode}
    if isinstance(value, Mode) or (isinstance(value, str) and value in modes):
        return value if isinstance(value, Mode) else modes[value]
    raise ConfigError(f"{typed} must be one of {', '.join(modes)}, got {value}")


def _check(typed: str, value: Any, least: int, *, seconds: bool) -> None:
    kinds = int | float if seconds else int
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value < math.inf:
        kind = "a number of seconds" if seconds else "a whole number"
        raise ConfigError(f"{typed}={value} is not possible", exists=f"{kind}, {least} or more")


def _check_sizes(typed: Mapping[str, str], sizes: Any, largest: int) -> None:
    option = typed["preferred"]
    if not isinstance(sizes, list | tuple) or any(type(size) is not int for size in sizes):
        raise ConfigError(
            f"{option}={sizes} is not possible",
            exists="a list of whole numbers",
            hint=f"{'+' if '.models.' in option else ''}{option}=[8,32]",
        )
    if any(not 1 <= size <= largest for size in sizes):
        raise ConfigError(
            f"{option}={list(sizes)} is not possible", exists=f"1 to {typed['max_batch']}={largest}"
        )

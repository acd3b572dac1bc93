"""The learning rate of each round, from the number of the round alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import lr_scheduler

from aeros_core.errors import ConfigError
from aeros_core.options.ranges import check_range
from aeros_torch.modules.torch_lookup import call, check_options, find, option_names

__all__ = ["SCHEDULERS", "Schedule"]

_OPTION = "trainer.scheduler"
_REFUSED = {
    "ReduceLROnPlateau": "it follows a metric, and a node sees none between rounds",
    "LambdaLR": "it is made of a function, which a configuration cannot hold",
    "MultiplicativeLR": "it is made of a function, which a configuration cannot hold",
    "SequentialLR": "it is made of other schedulers",
    "ChainedScheduler": "it is made of other schedulers",
}
_HIDDEN = ("optimizer", "last_epoch", "scale_fn", "base_momentum", "max_momentum")
_ONLY_RATE = "cycle_momentum"

SCHEDULERS: Mapping[str, type[Any]] = {
    name: getattr(lr_scheduler, name) for name in lr_scheduler.__all__ if name != "LRScheduler"
}
"""torch's schedulers by name."""


class Schedule:
    """Learning rates by round: a linear warm-up, then one of torch's schedulers.

    The scheduler takes one step between two rounds. Its rates are computed from the
    first round on, so a resumed task has those of an undisturbed one.

    Args:
        name: Name of a scheduler; None: the rate stays.
        options: The scheduler's options.
        lr: Learning rate that the scheduler starts from.
        warmup: Rounds before the scheduler's first; in round r of them the rate is
            r / (warmup + 1) of that first one.

    Raises:
        ConfigError: There is no such scheduler or option, or a value is out of range.
    """

    def __init__(self, name: str | None, options: Mapping[str, Any], lr: float, warmup: int):
        check_range("trainer.lr", lr, 0 <= lr < math.inf, "0 or more")
        check_range("trainer.warmup", warmup, warmup >= 0, "0 or more")
        if name is None and options:
            raise ConfigError(
                "trainer.scheduler_options are set, but no scheduler is",
                exists=", ".join(sorted(SCHEDULERS)),
                hint=f"{_OPTION}=CosineAnnealingLR",
            )
        self._warmup = warmup
        self._known: list[float] = []
        self._rates = _rates(name, options, lr)
        self(warmup + 2)

    def __call__(self, round: int) -> float:
        """Return the learning rate of a round, counted from 1.

        Raises:
            ConfigError: The scheduler ends before this round.
        """
        place = max(round - self._warmup, 1)
        while len(self._known) < place:
            self._known.append(next(self._rates))
        return self._known[place - 1] * min(1.0, round / (self._warmup + 1))


def _rates(name: str | None, options: Mapping[str, Any], lr: float) -> Iterator[float]:
    """Return the rates of a scheduler, round by round, after checking what was asked."""
    if name is None:
        return _constant(lr)
    cls = find(_OPTION, _full(name), SCHEDULERS)
    if (reason := _REFUSED.get(cls.__name__)) is not None:
        offered = sorted(set(SCHEDULERS) - set(_REFUSED))
        raise ConfigError(f"{_OPTION}={name} cannot be used: {reason}", exists=", ".join(offered))
    names = option_names(cls, _HIDDEN)
    given = check_options(f"{_OPTION}_options", cls.__name__, options, names)
    if _ONLY_RATE in names and given.setdefault(_ONLY_RATE, False):
        raise ConfigError(
            f"{_OPTION}_options.{_ONLY_RATE}=true cannot be done:"
            " a schedule here moves the learning rate alone",
            hint=f"{_OPTION}_options.{_ONLY_RATE}=false",
        )
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = call(f"{_OPTION}={name}", cls, optimizer, **given)
    return _stepped(name, optimizer, scheduler)


def _full(name: str) -> str:
    return next((full for full in SCHEDULERS if _same(name, full)), name)


def _same(name: str, full: str) -> bool:
    return name.lower().replace("_", "") + "lr" == full.lower()


def _constant(lr: float) -> Iterator[float]:
    while True:
        yield lr


def _stepped(name: str, optimizer: torch.optim.Optimizer, scheduler: Any) -> Iterator[float]:
    number = 1
    while True:
        yield float(optimizer.param_groups[0]["lr"])
        optimizer.step()
        number += 1
        call(f"the rate of round {number} with {_OPTION}={name}", scheduler.step)

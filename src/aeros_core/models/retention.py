"""Which versions of a model are kept, and which may go."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aeros_core.errors import AerosError, ConfigError
from aeros_core.records import ModelInfo
from aeros_core.results import Status
from aeros_core.tasks.task import Stop

__all__ = ["Rules", "doomed", "unfinished"]


@dataclass(frozen=True, slots=True)
class Rules:
    """What is kept of every model, beside whatever is tagged; the newest is, as ``latest``.

    Args:
        last: So many versions, from the newest back.
        best: So many versions with the best value of ``metric``.
        metric: Less is better for a loss or an error, more for anything else.

    Raises:
        ConfigError: A number is below 0, or both are 0.
    """

    last: int = 0
    best: int = 0
    metric: str = "accuracy"

    def __post_init__(self) -> None:
        if self.last < 0 or self.best < 0 or not self.last + self.best:
            raise ConfigError(
                f"keeping the last {self.last} and the best {self.best} versions is not possible",
                exists="numbers from 0, one of them at least 1",
                hint="--keep-last 5, or --keep-best 3 --metric accuracy",
            )


def doomed(
    infos: Sequence[ModelInfo], rules: Rules, needed: Container[str]
) -> dict[str, list[int]]:
    """Return which versions of each model no rule keeps.

    Args:
        infos: All versions of some models.
        rules: What is kept.
        needed: Runs whose versions are kept whatever the rules say.

    Raises:
        ConfigError: The best are to be kept, but no version at all has the metric. (A model
            none of whose versions has it loses none.)
    """
    if rules.best and infos and not _measured(infos, rules.metric):
        raise ConfigError(
            f"no version of a model measures {rules.metric}",
            exists=", ".join(sorted({name for info in infos for name in info.metrics})),
            hint="--metric <one of these>",
        )
    found: dict[str, list[int]] = {}
    for name in sorted({info.name for info in infos}):
        versions = sorted((i for i in infos if i.name == name), key=lambda info: info.version)
        kept = {info.version for info in versions if info.tags or info.run in needed}
        kept |= {info.version for info in versions[-max(1, rules.last) :]}
        kept |= {info.version for info in _best(versions, rules)}
        if gone := [info.version for info in versions if info.version not in kept]:
            found[name] = gone
    return found


def unfinished(
    infos: Iterable[ModelInfo], result: Callable[[str], Mapping[str, Any] | None]
) -> set[str]:
    """Return the runs of some versions that may still go on: all that have not finished.

    One whose record is damaged or gone is among them: nobody knows whether it has.
    """
    runs = {info.run for info in infos if info.run}
    return {run for run in runs if not _has_finished(run, result)}


def _has_finished(run: str, result: Callable[[str], Mapping[str, Any] | None]) -> bool:
    try:
        return (result(run) or {}).get("status") == Status.FINISHED
    except AerosError:
        return False


def _best(versions: Sequence[ModelInfo], rules: Rules) -> list[ModelInfo]:
    """Return the best versions, newer ones first where they are as good; NaN is never good."""
    metric, sign = rules.metric, 1 if Stop(metric=rules.metric).less else -1
    measured = _measured(versions, metric)
    if rules.best and not measured:
        return [*versions]  # nobody knows which are the best
    ranked = sorted(measured, key=lambda info: (sign * info.metrics[metric], -info.version))
    return ranked[: rules.best]


def _measured(infos: Sequence[ModelInfo], metric: str) -> list[ModelInfo]:
    return [info for info in infos if _is_number(info.metrics.get(metric))]


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not math.isnan(value)

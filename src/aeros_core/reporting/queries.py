"""Which runs are asked for: by what they were told, when they began, and what came of them.

A condition such as ``collector=median``, ``task.seed!=3`` or ``accuracy>=0.9`` speaks of an
option of the configuration, or of what a run measured. A part is meant by the name that its
plugin gave it, a list of steps holds each of its steps, and ``*`` stands for anything.
"""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from functools import cached_property
from typing import Any, TypeAlias

from aeros_core.errors import ConfigError
from aeros_core.options.choices import TARGET, is_choice, option_name
from aeros_core.records import Run
from aeros_core.tasks.task import Stop

__all__ = ["ABSENT", "Condition", "Entry", "Names", "Query", "condition", "moment", "spelled"]

Names: TypeAlias = Mapping[str, Collection[str]]
"""What plugins call the part that a target implements: ``{target: names}``."""

Row: TypeAlias = Mapping[str, Any]
"""What came of a run: ``status``, ``rounds``, ``metrics``, ``seconds`` and such."""

ABSENT = object()
"""What a run says of an option that it was not told, or of a metric that it did not measure."""

_SIGNS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_FORM = re.compile(r"([A-Za-z_][\w./-]*)(!=|<=|>=|=|<|>)(.*)", re.DOTALL)
_AGO = re.compile(r"(\d{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class Condition:
    """What has to hold of one option or metric.

    Args:
        key: Its name, parts joined by dots.
        sign: ``=``, ``!=``, ``<``, ``<=``, ``>`` or ``>=``.
        value: As it was typed.
    """

    key: str
    sign: str
    value: str

    def holds(self, found: object, names: Names) -> bool:
        """Tell whether it holds of a value; of an absent one nothing does."""
        if found is ABSENT:
            return False
        if self.sign in _SIGNS:
            wanted = _number(self.value)
            mine = found if _is_number(found) else None
            return None not in (wanted, mine) and _SIGNS[self.sign](mine, wanted)
        return _equal(found, self.value, names) is (self.sign == "=")


class Entry:
    """A run, and what came of it as soon as somebody asks.

    Args:
        run: The run.
        summarise: Returns what came of it; called once, if at all.
    """

    def __init__(self, run: Run, summarise: Callable[[Run], Row]) -> None:
        self.run = run
        self._summarise = summarise

    @cached_property
    def row(self) -> Row:
        """What came of the run."""
        return self._summarise(self.run)

    def told(self, key: str) -> Any:
        """Return an option of the run, or else what came of it; `ABSENT` if it has neither."""
        value: Any = self.run.config
        for part in key.split("."):
            value = value.get(part, ABSENT) if isinstance(value, Mapping) else ABSENT
        if value is ABSENT:
            value = self.row["metrics"].get(key.removeprefix("metrics."), ABSENT)
        return self.row.get(key, ABSENT) if value is ABSENT else value


@dataclass(frozen=True, slots=True)
class Query:
    """What runs have to be, and in which order they come.

    Args:
        conditions: All of which hold.
        statuses: One of which a run has; none for any.
        since: When it began at the earliest.
        until: When it began at the latest.
        best: Metric by which the best come first; those without it are left out.
        newest: The newest first.
        names: What plugins call parts.
    """

    conditions: Sequence[Condition] = ()
    statuses: Collection[str] = ()
    since: datetime | None = None
    until: datetime | None = None
    best: str | None = None
    newest: bool = False
    names: Names = field(default_factory=dict)

    def of(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the runs that are asked for, of all there are, oldest first.

        What came of a run is only looked at where an option does not decide.

        Raises:
            ConfigError: No run at all has an option or a metric that is asked for.
        """
        for key in [*(each.key for each in self.conditions), *filter(None, [self.best])]:
            if entries and all(entry.told(key) is ABSENT for entry in entries):
                raise _unknown(key, entries)
        found = [entry for entry in entries if self._fits(entry)]
        if self.best:
            return _ranked(found, self.best)
        return found[::-1] if self.newest else found

    def _fits(self, entry: Entry) -> bool:
        if not self._is_timely(entry.run):
            return False
        if not all(c.holds(entry.told(c.key), self.names) for c in self.conditions):
            return False
        return not self.statuses or entry.row["status"] in self.statuses

    def _is_timely(self, run: Run) -> bool:
        if self.since is None and self.until is None:
            return True
        try:
            began = _in_utc(datetime.fromisoformat(run.created))
        except ValueError:
            return False
        return (self.since or began) <= began <= (self.until or began)


def condition(text: str) -> Condition:
    """Read a condition as it is typed.

    Raises:
        ConfigError: It is none.
    """
    if not (found := _FORM.fullmatch(text)):
        raise ConfigError(
            f"--where {text} is no condition",
            exists="KEY=VALUE, and !=, <, <=, > and >= in place of =",
            hint="--where collector=fedavg --where task.seed=3 --where 'accuracy>=0.9'",
        )
    key, sign, value = found.groups()
    if sign in _SIGNS and _number(value) is None:
        raise ConfigError(f"--where {text} compares with {value!r}, which is no number")
    return Condition(key.replace("/", "."), sign, value)


def moment(text: str, now: datetime, *, end: bool = False) -> datetime:
    """Read a moment: ISO 8601 in UTC, or how long ago, such as ``12h`` or ``7d``.

    Args:
        text: As it is typed.
        now: From when it counts back.
        end: Whether a day is meant to its end.

    Raises:
        ConfigError: It is none.
    """
    try:
        if ago := _AGO.fullmatch(text):
            return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        found = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise ConfigError(
            f"{text!r} is no moment",
            exists="2026-11-28, 2026-11-28T12:00, or how long ago: 30m, 12h, 7d, 2w",
        ) from error
    whole_day = end and "T" not in text and " " not in text
    return _in_utc(found) + (timedelta(days=1, microseconds=-1) if whole_day else timedelta())


def spelled(value: Any, names: Names) -> Any:
    """Return an option as it may stand in a table: a part by its name."""
    if isinstance(value, Mapping):
        if is_choice(value):
            return min(_names(value, names), default="")
        return ", ".join(value)
    if isinstance(value, list):
        return ", ".join(str(spelled(part, names)) for part in value)
    return "" if value in (None, ABSENT) else value


def _names(part: Mapping[str, Any], names: Names) -> list[str]:
    """Return what a part is called: by its option, by plugins that are here, or as its class."""
    return [*names.get(str(part.get(TARGET)), ())] or [option_name(part)]


def _equal(found: object, wanted: str, names: Names) -> bool:
    if isinstance(found, Mapping):
        called = _names(found, names) if is_choice(found) else [*found]
        return any(_alike(name, wanted) for name in called)
    if isinstance(found, list) and not wanted.startswith("["):
        return any(_equal(part, wanted, names) for part in found)
    number = _number(wanted)
    if _is_number(found) and number is not None:
        return found == number
    text = found if isinstance(found, str) else json.dumps(found)
    bare, asked = text.replace(" ", ""), wanted.replace(" ", "")
    return bare == asked or fnmatchcase(bare, asked)


def _alike(name: str, wanted: str) -> bool:
    """Tell whether a part is meant, by its name or that of its class: ``trimmed_mean``."""
    bare, asked = (text.replace("_", "").lower() for text in (name, wanted))
    return fnmatchcase(bare, asked)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _ranked(entries: Sequence[Entry], metric: str) -> list[Entry]:
    """Return those that measure a metric, the best first, newer ones first of equally good."""
    sign = 1 if Stop(metric=metric).less else -1
    values = [(entry.told(metric), entry) for entry in reversed(entries)]
    measured = [each for each in values if _is_number(each[0]) and not math.isnan(each[0])]
    return [entry for _, entry in sorted(measured, key=lambda each: sign * each[0])]


def _unknown(key: str, entries: Sequence[Entry]) -> ConfigError:
    metrics = sorted({name for entry in entries for name in entry.row["metrics"]})
    roles = sorted({name for entry in entries for name in entry.run.config})
    return ConfigError(
        f"no run was told, or has measured, {key}",
        exists=f"metrics {', '.join(metrics) or 'none'}; rounds, seconds; options of "
        f"{', '.join(roles) or 'none'}",
        hint="aeros results RUN --json shows every option of a run",
    )

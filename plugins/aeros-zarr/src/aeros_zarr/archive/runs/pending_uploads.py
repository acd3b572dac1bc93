"""Decide whether rounds in the upload spool can still be added to a run in the bucket.

Another machine may have resumed the run meanwhile. Newer data win: rounds are only added to the
rounds that they continue, and a result never replaces one that was stored after it was spooled.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from aeros_core.results import Round
from aeros_zarr.stores.names import spelled

__all__ = ["End", "State", "is_superseded", "missing"]

End: TypeAlias = Mapping[str, Any]
"""`Result.to_json` of a run."""


@dataclass(frozen=True, slots=True)
class State:
    """The rounds and the result of a run that one store holds.

    Args:
        rounds: The reports of the rounds, in order.
        end: The result; None if this store has none.
    """

    rounds: Sequence[Round]
    end: End | None

    @property
    def last(self) -> int:
        """Number of the last round; 0 without rounds."""
        return self.rounds[-1].number if self.rounds else 0

    def __str__(self) -> str:
        """Return a description for messages."""
        numbers = [done.number for done in self.rounds]
        rounds = _spelled(numbers) if numbers else ""
        ends = "its end ({status} after {rounds} rounds)".format(**self.end) if self.end else ""
        return " and ".join(filter(None, [rounds, ends])) or "no round"


def is_superseded(waiting: State, there: State, before: End | None) -> bool:
    """Return whether the bucket has newer data of a run than the spool.

    Args:
        waiting: The state in the spool.
        there: The state in the bucket.
        before: The result that the bucket had when this process resumed the run.
    """
    known = {done.number: done for done in there.rounds}
    for done in waiting.rounds:
        if done != known.get(done.number, done):
            return True
    if waiting.rounds and not waiting.rounds[0].number <= there.last + 1 <= waiting.last + 1:
        return True
    if waiting.end is not None and int(waiting.end["rounds"]) != max(waiting.last, there.last):
        return True
    return _has_ended(waiting, there, before)


def missing(waiting: State, there: State) -> list[int]:
    """Return the numbers of the rounds in the spool that the bucket lacks."""
    known = {done.number for done in there.rounds}
    return [done.number for done in waiting.rounds if done.number not in known]


def _spelled(numbers: Sequence[int]) -> str:
    """Return for example ``rounds 6 to 8``."""
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"rounds {numbers[0]} to {numbers[-1]}"
    return spelled("round", numbers)


def _has_ended(waiting: State, there: State, before: End | None) -> bool:
    """Return whether the bucket has a result that is newer than the spool."""
    if there.end is None or there.end in (waiting.end, before):
        return False
    after = int((waiting.end or there.end)["rounds"])
    return int(there.end["rounds"]) >= max(waiting.last, after)

"""Whether what waits to be uploaded still belongs to what a bucket has of a run by now.

Another machine may have gone on with the run meanwhile. What is newer stays: rounds are only
added to those that they were made from, and an end never takes the place of another one that
came after it was written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from aeros_core.results import Round
from aeros_zarr.stores.names import spelled

__all__ = ["End", "State", "is_superseded", "missing"]

End: TypeAlias = Mapping[str, Any]
"""`Result.to_json` of how a run ended."""


@dataclass(frozen=True, slots=True)
class State:
    """What there is of a run at one place.

    Args:
        rounds: In order.
        end: How it ended; None if it has not, or if that is not here.
    """

    rounds: Sequence[Round]
    end: End | None

    @property
    def last(self) -> int:
        """Number of the last round; 0 without any."""
        return self.rounds[-1].number if self.rounds else 0

    def __str__(self) -> str:
        """Return it in words."""
        numbers = [done.number for done in self.rounds]
        rounds = _spelled(numbers) if numbers else ""
        ends = "its end ({status} after {rounds} rounds)".format(**self.end) if self.end else ""
        return " and ".join(filter(None, [rounds, ends])) or "no round"


def is_superseded(waiting: State, there: State, before: End | None) -> bool:
    """Tell whether a bucket has something of a run that is newer than what waits.

    Args:
        waiting: What waits to be uploaded.
        there: What the bucket has.
        before: The end that the bucket had when this process went on with the run.
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
    """Return the numbers of the rounds that wait and are not there yet."""
    known = {done.number for done in there.rounds}
    return [done.number for done in waiting.rounds if done.number not in known]


def _spelled(numbers: Sequence[int]) -> str:
    """Return for example ``rounds 6 to 8``."""
    if len(numbers) > 1 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"rounds {numbers[0]} to {numbers[-1]}"
    return spelled("round", numbers)


def _has_ended(waiting: State, there: State, before: End | None) -> bool:
    """Tell whether the bucket has an end that came after what waits."""
    if there.end is None or there.end in (waiting.end, before):
        return False
    after = int((waiting.end or there.end)["rounds"])
    return int(there.end["rounds"]) >= max(waiting.last, after)

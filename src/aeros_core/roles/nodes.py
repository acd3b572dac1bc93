"""Reach the nodes of a task, as a controller provides them; what only some of them can do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from aeros_core.messages import Instruction, Reply
from aeros_core.tasks.round_counters import Refusal

__all__ = ["Nodes", "SupportsPresence", "SupportsRefusals"]


class Nodes(Protocol):
    """The nodes of one task, as the round loop sees them; a controller provides it.

    Nodes are numbered, so that a population of a million needs no list of names.
    """

    def __len__(self) -> int:
        """Number of nodes that could be selected now."""

    def name(self, number: int) -> str:
        """Return the id of node ``number``."""

    def sizes(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the examples of these nodes, as far as is known; 0 where it is not."""

    def dispatch(self, instructions: Sequence[Instruction]) -> None:
        """Send instructions on their way; does not wait for any."""

    def receive(self, timeout: float | None) -> Reply | None:
        """Return the next reply of any node; None once ``timeout`` seconds are over.

        A wait calls `waiting.check` at least every second.
        """

    def abandon(self) -> None:
        """Give up what is still on its way; replies to it may come all the same."""


@runtime_checkable
class SupportsPresence(Protocol):
    """Nodes that come and go while a task runs."""

    def wait_for(self, count: int, check: Callable[[], None]) -> None:
        """Wait until so many can be selected; say each minute who is missing.

        Args:
            count: How many a round needs.
            check: Called at least every second; raises where the task is to end.

        Raises:
            TaskError: They have not come in time.
        """


@runtime_checkable
class SupportsRefusals(Protocol):
    """Nodes behind a transport that refuses what the round loop never sees."""

    def refusals(self) -> Iterable[tuple[str, Refusal]]:
        """Return what was refused since the last call, with the name of who sent it."""

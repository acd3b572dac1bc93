"""Update hygiene: replies come in, bad ones are refused and counted, good ones go on."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np

from aeros_core.control import Control
from aeros_core.messages import Evaluation, Failure, Instruction, Reply, Update
from aeros_core.parameters import Layout, Vector
from aeros_core.task import Task

__all__ = ["Intake", "Nodes"]


class Nodes(Protocol):
    """The nodes of one task, as the round loop sees them; a controller provides it.

    Nodes are numbered, so that a population of a million needs no list of names.
    """

    def __len__(self) -> int:
        """Number of nodes that could be selected now."""

    def name(self, number: int) -> str:
        """Return the id of node ``number``."""

    def dispatch(self, instructions: Sequence[Instruction]) -> None:
        """Send instructions on their way; does not wait for any."""

    def receive(self, timeout: float | None) -> Reply | None:
        """Return the next reply of any node; None once ``timeout`` seconds are over."""

    def abandon(self) -> None:
        """Give up what is still on its way; replies to it may come all the same."""


class Intake:
    """The accepted updates of one round, to be iterated over once.

    Each reply is checked as it arrives: a known node that has not replied yet, the
    round's number, the layout, a positive number of examples, finite values. What fails
    is dropped and counted in `refused`; the round goes on.

    Args:
        nodes: Where replies come from.
        task: Whether updates go on in order of selection (``ordered``), and how many
            seconds to wait for them (``deadline``).
        number: Number of the round.
        cohort: Ids of the nodes that were sent an instruction, in order of selection.
        layout: Layout of the global parameters.
        control: Looked at between messages.
    """

    def __init__(
        self,
        nodes: Nodes,
        task: Task,
        number: int,
        cohort: Sequence[str],
        layout: Layout,
        control: Control,
    ) -> None:
        self._nodes = nodes
        self._round = number
        self._cohort = cohort
        self._layout = layout
        self._ends = None if task.deadline is None else time.monotonic() + task.deadline
        self._ordered = task.ordered
        self._control = control
        self._pending = set(cohort)
        self.accepted: dict[str, dict[str, float]] = {}
        self.refused: dict[str, str] = {}
        self.received = 0

    def __iter__(self) -> Iterator[Update]:
        """Yield accepted updates until every node has replied or the deadline is over."""
        return self._in_order() if self._ordered else self._arrivals()

    def _in_order(self) -> Iterator[Update]:
        waiting: dict[str, Update] = {}
        position = 0
        for update in self._arrivals():
            waiting[update.node] = update
            while position < len(self._cohort) and self._settled(self._cohort[position]):
                if ready := waiting.pop(self._cohort[position], None):
                    yield ready
                position += 1
        yield from (waiting[node] for node in self._cohort[position:] if node in waiting)

    def _settled(self, node: str) -> bool:
        return node not in self._pending

    def _arrivals(self) -> Iterator[Update]:
        while self._pending:
            self._control.check()
            left = None if self._ends is None else self._ends - time.monotonic()
            reply = self._nodes.receive(left)
            if reply is None:
                break
            if update := self._admit(reply):
                yield update
        for node in self._pending:
            self.refused[node] = "no reply within the deadline"
        if self._pending:
            self._nodes.abandon()
            self._pending.clear()

    def _admit(self, reply: Reply) -> Update | None:
        if isinstance(reply, Update):
            self.received += reply.nbytes
        reason = self._fault(reply)
        if reply.node in self._pending and reply.round == self._round:
            self._pending.discard(reply.node)
        if reason is None and isinstance(reply, Update):
            self.accepted[reply.node] = {"examples": reply.examples, **reply.metrics}
            return reply
        if reply.node not in self.accepted:
            self.refused[reply.node] = reason or "not an update"
        return None

    def _fault(self, reply: Reply) -> str | None:
        if reply.round != self._round:
            return f"late: for round {reply.round}"
        if reply.node not in self._pending:
            return "duplicate" if reply.node in self._cohort else "was not asked"
        if isinstance(reply, Failure):
            return reply.reason
        if isinstance(reply, Evaluation):
            return "an evaluation, not an update"
        if reply.parameters.layout != self._layout:
            return "another layout than the global parameters"
        if reply.examples <= 0:
            return f"{reply.examples} examples"
        vectors = [*reply.parameters.vectors.values(), *reply.vectors.values()]
        return None if all(map(finite, vectors)) else "NaN or infinity"


def finite(vector: Vector) -> bool:
    """Tell whether a vector holds neither NaN nor infinity.

    One pass: the sum is finite only if every element is, and a sum that overflows is
    looked at again element by element.
    """
    with np.errstate(all="ignore"):
        total = float(vector.sum())
    return bool(np.isfinite(total)) or bool(np.isfinite(np.asarray(vector)).all())

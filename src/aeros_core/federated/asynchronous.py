"""Asynchronous rounds: nodes are kept at work, and a step takes the next few updates.

Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation (2022),
algorithm 1; arXiv:2106.06639. With a buffer of one it is Xie et al., Asynchronous
Federated Optimization (2019), algorithm 1; arXiv:1903.03934.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from aeros_core import seeding
from aeros_core.errors import ConfigError
from aeros_core.federated import selection, timing
from aeros_core.federated.synchronous import GONE, LOST, SILENT
from aeros_core.federated.updates.validation import fault
from aeros_core.messages import Failure, Reply, Update
from aeros_core.parameters import Parameters
from aeros_core.roles.collector import (
    Collector,
    SupportsCodec,
    SupportsStaleness,
    SupportsWholeParameters,
)
from aeros_core.roles.nodes import Nodes, SupportsPresence
from aeros_core.tasks.round_counters import Refusal, RoundCounters
from aeros_core.tasks.task import Task

__all__ = ["AsynchronousRound", "AsynchronousRounds"]

_OTHER_FORM = {
    True: "a difference where parameters were asked for",
    False: "parameters where a difference was asked for",
}


class AsynchronousRounds:
    """Keeps ``task.cohort`` nodes at work, from one round to the next.

    Args:
        nodes: Who works.
        task: For its seed, cohort and deadline.
        collector: Says what nodes are told.
        buffer: Updates that make a round.
        breathe: Called between messages.

    Raises:
        ConfigError: The collector takes whole parameters, and a codec sends differences.
    """

    def __init__(
        self,
        nodes: Nodes,
        task: Task,
        collector: Collector,
        buffer: int,
        breathe: Callable[[], None],
    ) -> None:
        self.nodes, self.task, self.collector = nodes, task, collector
        self.buffer, self.breathe = buffer, breathe
        self.whole = isinstance(collector, SupportsWholeParameters) and collector.whole
        self.max_staleness = (
            collector.max_staleness if isinstance(collector, SupportsStaleness) else None
        )
        if self.whole and isinstance(collector, SupportsCodec):
            raise ConfigError(
                "a codec compresses differences, and this collector takes whole parameters",
                exists="collector/codec=null",
                hint="leave the codec out, or collector=fedbuff collector.buffer=1",
            )
        self.at_work: dict[str, int] = {}
        self.before: dict[str, tuple[int, str]] = {}
        self._told: Counter[str] = Counter()
        self._number = 0

    before: dict[str, tuple[int, str]]
    """By node, the last round that it was asked for and is not at work on any more, and the
    kind of a refusal that another reply to that would be."""

    def step(self, number: int, parameters: Parameters, tally: RoundCounters) -> AsynchronousRound:
        """Return the updates of round ``number``."""
        if number != self._number:
            self._number = number
            self._told.clear()
        return AsynchronousRound(self, number, parameters, tally)

    def top_up(self, parameters: Parameters, tally: RoundCounters) -> None:
        """Give work to as many idle nodes as are missing, from these parameters."""
        there = len(self.nodes)  # once: nodes come and go, and numbers are those of this moment
        sent = []
        for _ in range(self._missing(there)):
            node = self._idle(there)
            again = self._told[node]
            sent += selection.instruct(
                self.task, self.collector, parameters, self._number, [node], again,
                delta=not self.whole,
            )  # fmt: skip
            self.at_work[node] = self._number
            self._told[node] += 1
        tally.sent += sum(instruction.nbytes for instruction in sent)
        self.nodes.dispatch(sent)

    def _missing(self, there: int) -> int:
        """Return how many nodes more may work; never more than are there without work."""
        wanted = min(self.task.cohort or there, there)
        if wanted < there and len(self.at_work) < there:
            return wanted - len(self.at_work)
        # Of those at work some may have gone; they take nobody's place.
        return wanted - sum(self.nodes.name(number) in self.at_work for number in range(there))

    def _idle(self, there: int) -> str:
        """Return a node without work, drawn evenly; takes no time in the population.

        There has to be one, see `_missing`.
        """
        told = sum(self._told.values())
        rng = seeding.stream(self.task.seed, "select", self._number, told)
        while True:
            node = self.nodes.name(int(rng.integers(there)))
            if node not in self.at_work:
                return node

    def give_up(self, kind: str) -> None:
        """Let go of what nodes are at work on; replies to it are refused as of this kind."""
        self.before |= {node: (number, kind) for node, number in self.at_work.items()}
        self.at_work.clear()
        self.nodes.abandon()


class AsynchronousRound:
    """The updates of one round, as they arrive; iterated over once.

    An update says in ``scalars["staleness"]`` how many rounds ended since its node was
    given the parameters it started from.

    Args:
        busy: Who is at work.
        number: Number of the round.
        base: The global parameters now.
        tally: Counts of the round so far.
    """

    def __init__(
        self, busy: AsynchronousRounds, number: int, base: Parameters, tally: RoundCounters
    ) -> None:
        self._busy, self._number, self._base, self.tally = busy, number, base, tally

    @property
    def cohort(self) -> list[str]:
        """Nodes at work now."""
        return list(self._busy.at_work)

    def __iter__(self) -> Iterator[Update]:
        """Yield accepted updates until there are enough of them.

        As many refusals as nodes at work end the round early, and so does a deadline in
        which no node replies. Where no node is left it waits.

        Raises:
            TaskError: Nobody has come for too long.
        """
        busy, good, bad = self._busy, 0, 0
        most, ends = busy.task.cohort or max(len(busy.nodes), 1), self._ends()
        while good < busy.buffer and bad < most:
            busy.breathe()
            self._await_somebody()
            busy.top_up(self._base, self.tally)
            reply = busy.nodes.receive(None if ends is None else ends - timing.unpaused())
            if reply is None and not busy.at_work and isinstance(busy.nodes, SupportsPresence):
                continue  # all have gone in this moment
            if reply is None:
                self._give_up()
                return
            placed = self._misplaced(reply)
            update = self._admit(reply, placed)
            if placed is None:  # what nobody asked for keeps no round open, and ends none
                ends = self._ends()
                bad += update is None and not _is_gone(reply)
            if update is not None:
                good += 1
                yield update
                ends = self._ends()
            del update, reply

    def _ends(self) -> float | None:
        deadline = self._busy.task.deadline
        return None if deadline is None else timing.unpaused() + deadline

    def _await_somebody(self) -> None:
        busy = self._busy
        if not len(busy.nodes):
            selection.await_quorum(busy.task, busy.nodes, busy.breathe)

    def _give_up(self) -> None:
        why = LOST if self._busy.task.deadline is None else SILENT
        for node in self._busy.at_work:
            self.tally.refuse(node, why)
        self._busy.give_up("late")

    def _admit(self, reply: Reply, refusal: Refusal | None) -> Update | None:
        self.tally.receive(reply)
        if refusal is None:
            del self._busy.at_work[reply.node]
            self._busy.before[reply.node] = (reply.round, "duplicate")
            refusal = fault(reply, self._base, self._busy.task.max_norm) or self._unfit(reply)
        if refusal is not None or not isinstance(reply, Update):
            self.tally.refuse(reply.node, refusal or SILENT)
            return None
        self.tally.accept(reply)
        stale = {"staleness": float(self._number - reply.round)}
        return replace(reply, scalars={**reply.scalars, **stale})

    def _misplaced(self, reply: Reply) -> Refusal | None:
        """Return why nobody waits for a reply; None where somebody does."""
        if self._busy.at_work.get(reply.node) == reply.round:
            return None
        last, kind = self._busy.before.get(reply.node, (0, ""))
        if last == reply.round:
            told = "a second reply" if kind == "duplicate" else "late"
            return Refusal(kind, f"{told} for round {reply.round}")
        if reply.round > self._number:
            here = f"and this is round {self._number}"
            return Refusal("other round", f"for round {reply.round}, {here}")
        if 0 < reply.round < last:
            return Refusal("late", f"late: for round {reply.round}")
        return Refusal("not asked", f"was not asked for round {reply.round}")

    def _unfit(self, reply: Reply) -> Refusal | None:
        limit = self._busy.max_staleness
        if limit is not None and self._number - reply.round > limit:
            return Refusal("late", f"late by {self._number - reply.round} rounds")
        if isinstance(reply, Update) and reply.delta is self._busy.whole:
            return Refusal("not an update", _OTHER_FORM[reply.delta])
        return None


def _is_gone(reply: Reply) -> bool:
    """Tell whether a node has left, which says nothing of those that are there."""
    return isinstance(reply, Failure) and reply.kind == GONE

"""Asynchronous rounds: nodes are kept at work, and a step takes the next few updates.

Nguyen et al., Federated Learning with Buffered Asynchronous Aggregation (2022),
algorithm 1; arXiv:2106.06639. With a buffer of one it is Xie et al., Asynchronous
Federated Optimization (2019), algorithm 1; arXiv:1903.03934.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace

from aeros_core import cohort, streams
from aeros_core.admission import fault
from aeros_core.errors import ConfigError
from aeros_core.intake import SILENT, Nodes
from aeros_core.messages import Reply, Update
from aeros_core.parameters import Parameters
from aeros_core.powers import SupportsCodec
from aeros_core.roles import Collector
from aeros_core.tally import Refusal, Tally
from aeros_core.task import Task

__all__ = ["Busy", "Step"]

_OTHER_FORM = {
    True: "a difference where parameters were asked for",
    False: "parameters where a difference was asked for",
}


class Busy:
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
        self.whole = bool(getattr(collector, "whole", False))
        if self.whole and isinstance(collector, SupportsCodec):
            raise ConfigError(
                "a codec compresses differences, and this collector takes whole parameters",
                exists="collector/codec=null",
                hint="leave the codec out, or collector=fedbuff collector.buffer=1",
            )
        self.at_work: dict[str, int] = {}
        self._told: Counter[str] = Counter()
        self._number = 0

    def step(self, number: int, parameters: Parameters, tally: Tally) -> Step:
        """Return the updates of round ``number``."""
        if number != self._number:
            self._number = number
            self._told.clear()
        return Step(self, number, parameters, tally)

    def top_up(self, parameters: Parameters, tally: Tally) -> None:
        """Give work to as many idle nodes as are missing, from these parameters."""
        wanted = (self.task.cohort or len(self.nodes)) - len(self.at_work)
        sent = []
        for _ in range(wanted):
            node = self._idle()
            again = self._told[node]
            sent += cohort.instruct(
                self.task, self.collector, parameters, self._number, [node], again,
                delta=not self.whole,
            )  # fmt: skip
            self.at_work[node] = self._number
            self._told[node] += 1
        tally.sent += sum(instruction.nbytes for instruction in sent)
        self.nodes.dispatch(sent)

    def _idle(self) -> str:
        """Return a node without work, drawn evenly; takes no time in the population."""
        told = sum(self._told.values())
        rng = streams.stream(self.task.seed, "select", self._number, told)
        while True:
            node = self.nodes.name(int(rng.integers(len(self.nodes))))
            if node not in self.at_work:
                return node


class Step:
    """The updates of one round, as they arrive; iterated over once.

    An update says in ``scalars["staleness"]`` how many rounds ended since its node was
    given the parameters it started from.

    Args:
        busy: Who is at work.
        number: Number of the round.
        base: The global parameters now.
        tally: Counts of the round so far.
    """

    def __init__(self, busy: Busy, number: int, base: Parameters, tally: Tally) -> None:
        self._busy, self._number, self._base, self.tally = busy, number, base, tally

    @property
    def cohort(self) -> list[str]:
        """Nodes at work now."""
        return list(self._busy.at_work)

    def __iter__(self) -> Iterator[Update]:
        """Yield accepted updates until there are enough of them.

        As many refusals as nodes at work end the round early, and so does a deadline in
        which nobody replies.
        """
        busy, tally = self._busy, self.tally
        good, bad, most = 0, 0, busy.task.cohort or len(busy.nodes)
        while good < busy.buffer and bad < most:
            busy.breathe()
            busy.top_up(self._base, tally)
            reply = busy.nodes.receive(busy.task.deadline)
            if reply is None:
                self._give_up()
                return
            if (update := self._admit(reply)) is None:
                bad += 1
            else:
                good += 1
                yield update
                del update

    def _give_up(self) -> None:
        for node in self._busy.at_work:
            self.tally.refuse(node, SILENT)
        self._busy.at_work.clear()
        self._busy.nodes.abandon()

    def _admit(self, reply: Reply) -> Update | None:
        self.tally.receive(reply)
        refusal = self._misplaced(reply)
        if refusal is None:
            del self._busy.at_work[reply.node]
            refusal = fault(reply, self._base, self._busy.task.max_norm) or self._unfit(reply)
        if refusal is not None or not isinstance(reply, Update):
            self.tally.refuse(reply.node, refusal or SILENT)
            return None
        self.tally.accept(reply)
        stale = {"staleness": float(self._number - reply.round)}
        return replace(reply, scalars={**reply.scalars, **stale})

    def _misplaced(self, reply: Reply) -> Refusal | None:
        sent = self._busy.at_work.get(reply.node)
        if sent == reply.round:
            return None
        kind = "not asked" if sent is None else "late"
        return Refusal(kind, f"was not asked for round {reply.round}")

    def _unfit(self, reply: Reply) -> Refusal | None:
        limit = getattr(self._busy.collector, "max_staleness", None)
        if limit is not None and self._number - reply.round > limit:
            return Refusal("late", f"late by {self._number - reply.round} rounds")
        if isinstance(reply, Update) and reply.delta is self._busy.whole:
            return Refusal("not an update", _OTHER_FORM[reply.delta])
        return None

"""The updates of one round: replies come in, bad ones are refused, good ones go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from aeros_core.federated import timing
from aeros_core.federated.updates.validation import fault
from aeros_core.messages import Instruction, Reply, Update
from aeros_core.parameters import Parameters
from aeros_core.roles.nodes import Nodes
from aeros_core.tasks.round_counters import Refusal, RoundCounters
from aeros_core.tasks.task import LateUpdates, QuorumPolicy, Task

__all__ = ["GONE", "LOST", "NO_TIME", "SILENT", "SynchronousRound"]

SILENT = Refusal("no reply", "no reply within the deadline")

GONE = "gone"
"""The kind of a failure that is none of the node's: it has left, and may come back."""

LOST = Refusal("no reply", "no reply, and none is to come")
"""What is said where no deadline ended the wait."""

NO_TIME = "no time was left for it"
"""Why a node fails that knows itself that the deadline was too short for it."""


class SynchronousRound:
    """The accepted updates of one round, to be iterated over once.

    Each reply is checked as it arrives: a known node that has not replied yet, the
    round's number, and all that `validation.fault` looks at. What fails is dropped and
    counted in `round_counters`; the round goes on.

    Args:
        nodes: Whom the instructions go to once the first update is asked for.
        task: Whether updates go on in order of selection (``ordered``), how many seconds
            to wait for them (``deadline``), and when to wait no longer (``enough``).
        sent: Instruction of each node, in order of selection.
        base: The global parameters.
        breathe: Called between messages.
        tally: Counts of the round so far.
        owed: Rounds of which nodes' updates are still to come, by node; kept from one round to
            the next where the task uses late updates.
    """

    def __init__(
        self,
        nodes: Nodes,
        task: Task,
        sent: Sequence[Instruction],
        base: Parameters,
        breathe: Callable[[], None],
        tally: RoundCounters,
        owed: dict[str, int] | None = None,
    ) -> None:
        self._owed = {} if owed is None else owed
        self._nodes, self._task, self._sent = nodes, task, sent
        self._base, self._breathe = base, breathe
        self.tally = tally
        self.cohort = [instruction.node for instruction in sent]
        self._pending = dict.fromkeys(self.cohort)
        self._good = 0

    def __iter__(self) -> Iterator[Update]:
        """Yield accepted updates until every node has replied or the deadline is over."""
        return self._in_order() if self._task.ordered else self._arrivals()

    def _in_order(self) -> Iterator[Update]:
        waiting: dict[str, Update] = {}
        position = 0
        for update in self._arrivals():
            waiting[update.node] = update
            del update  # held nowhere else once it has gone on
            while position < len(self.cohort) and self.cohort[position] not in self._pending:
                if self.cohort[position] in waiting:
                    yield waiting.pop(self.cohort[position])
                position += 1
        yield from (waiting.pop(node) for node in self.cohort[position:] if node in waiting)
        yield from (waiting.pop(node) for node in sorted(waiting))  # late, and not asked today

    def _arrivals(self) -> Iterator[Update]:
        self._nodes.dispatch(self._sent)
        self.tally.sent += sum(instruction.nbytes for instruction in self._sent)
        enough = self._task.min_updates
        for reply in self._replies():
            if self._admitted(reply) and isinstance(reply, Update):
                self._good += 1
                yield self._dated(reply)
            del reply
            if enough is not None and self._good >= enough:
                break
        if self._pending:
            self._give_up()

    def _replies(self) -> Iterator[Reply]:
        """Yield replies until all have come, the time is over, and no more is granted."""
        task = self._task
        ends = None if task.deadline is None else timing.unpaused() + task.deadline
        grants = task.attempts - 1 if task.below_quorum is QuorumPolicy.extend else 0
        while self._pending:
            self._breathe()
            reply = self._nodes.receive(None if ends is None else ends - timing.unpaused())
            if reply is not None:
                yield reply
                del reply  # while the next one is awaited, this one may be let go
            elif grants and self._good < task.quorum and task.deadline is not None:
                grants, ends = grants - 1, timing.unpaused() + task.deadline
            else:
                return

    def _give_up(self) -> None:
        if self._task.min_updates is None or self._good < self._task.min_updates:
            for node in self._pending:
                self.tally.refuse(node, LOST if self._task.deadline is None else SILENT)
        self._nodes.abandon()
        if self._task.late is LateUpdates.use:
            self._owed.update(dict.fromkeys(self._pending, self._sent[0].round))
        self._pending.clear()

    def _admitted(self, reply: Reply) -> bool:
        self.tally.receive(reply)
        refusal = self._misplaced(reply)
        if refusal is None:
            self._pending.pop(reply.node, None)
            refusal = fault(reply, self._base, self._task.max_norm)
        if refusal is not None:
            self.tally.refuse(reply.node, refusal)
        elif isinstance(reply, Update):
            self.tally.accept(reply)
        return refusal is None

    def _misplaced(self, reply: Reply) -> Refusal | None:
        number = self._sent[0].round
        if reply.round != number and self._is_used(reply):
            return None
        if reply.round < number:
            return Refusal("late", f"late: for round {reply.round}")
        if reply.round > number:
            return Refusal("other round", f"for round {reply.round}, and this is round {number}")
        if reply.node in self._pending:
            return None
        if reply.node in self.cohort:
            return Refusal("duplicate", "duplicate")
        return Refusal("not asked", "was not asked")

    def _is_used(self, reply: Reply) -> bool:
        """Tell whether a late reply is an update that is still wanted, and wanted no more then."""
        wanted = self._task.late is LateUpdates.use and isinstance(reply, Update)
        if wanted and self._owed.get(reply.node) == reply.round:
            del self._owed[reply.node]
            return True
        return False

    def _dated(self, update: Update) -> Update:
        """Return the update; a late one says how many rounds it is old."""
        age = self._sent[0].round - update.round
        if not age:
            return update
        return replace(update, scalars={**update.scalars, "staleness": float(age)})

"""Federated evaluation: nodes measure the global parameters on data they keep for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from aeros_core import cohort
from aeros_core.intake import SILENT, Nodes
from aeros_core.messages import Evaluation, Failure, Instruction, Metrics, Reply
from aeros_core.tally import Refusal, Tally
from aeros_core.task import Task

__all__ = ["survey"]


def survey(
    nodes: Nodes,
    task: Task,
    sent: Sequence[Instruction],
    breathe: Callable[[], None],
    tally: Tally,
) -> Metrics:
    """Return the mean of what nodes measure, weighted by examples.

    A node that fails, or misses the deadline, is counted in ``tally`` and left out.

    Args:
        nodes: Where replies come from.
        task: For its deadline.
        sent: What each is asked.
        breathe: Called between messages.
        tally: Counts of the round so far.
    """
    tally.sent += sum(instruction.nbytes for instruction in sent)
    nodes.dispatch(sent)
    ends = None if task.deadline is None else time.monotonic() + task.deadline
    number, pending, figures = sent[0].round, {told.node for told in sent}, []
    while pending:
        breathe()
        reply = nodes.receive(None if ends is None else ends - time.monotonic())
        if reply is None:
            break
        tally.receive(reply)
        if (refusal := _fault(reply, number, pending)) is not None:
            tally.refuse(reply.node, refusal)
        elif isinstance(reply, Evaluation):
            figures.append({"examples": reply.examples, **reply.metrics})
        if reply.round == number:
            pending.discard(reply.node)
    for node in sorted(pending):
        tally.refuse(node, SILENT)
    if pending:
        nodes.abandon()
    return cohort.mean(figures)


def _fault(reply: Reply, number: int, pending: set[str]) -> Refusal | None:
    if reply.round != number:
        return Refusal("late", f"late: for round {reply.round}")
    if reply.node not in pending:
        return Refusal("duplicate", "a second evaluation")
    if isinstance(reply, Failure):
        return Refusal("evaluation", f"evaluation: {reply.reason}")
    if not isinstance(reply, Evaluation):
        return Refusal("evaluation", "an update, not an evaluation")
    return None if reply.examples > 0 else Refusal("examples", f"{reply.examples} examples")

"""What nodes are asked beside training: to measure, or to answer about, data of their own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from aeros_core.federated import selection, timing
from aeros_core.federated.synchronous import LOST, SILENT
from aeros_core.federated.updates import weight_cap
from aeros_core.federated.updates.reply_limits import MOST_SHARES, arrays_fault, figures_fault
from aeros_core.federated.updates.validation import of_examples
from aeros_core.messages import Evaluation, Failure, Instruction, Metrics, Predictions, Reply
from aeros_core.roles.nodes import Nodes
from aeros_core.tasks.round_counters import Refusal, RoundCounters
from aeros_core.tasks.task import Task

__all__ = ["collect_replies", "evaluate_on_nodes"]

Wanted = TypeVar("Wanted", Evaluation, Predictions)

_KINDS = {Evaluation: "evaluation", Predictions: "inference"}


def evaluate_on_nodes(
    nodes: Nodes,
    task: Task,
    sent: Sequence[Instruction],
    breathe: Callable[[], None],
    tally: RoundCounters,
) -> Metrics:
    """Return the mean of what nodes measure, weighted by examples; see `collect_replies`.

    No node has more than ``task.max_share`` of the weight. Where no node's figures are finite
    the loss is NaN.
    """
    before = _not_finite(tally)
    replies = {r.node: r for r in collect_replies(Evaluation, nodes, task, sent, breathe, tally)}
    if not replies and _not_finite(tally) > before:
        return {"loss": math.nan}  # wherever it was measured
    examples = {node: reply.examples for node, reply in replies.items()}
    counted = weight_cap.weights(examples, task.max_share, len(sent))
    for node, weight in counted.items():
        if weight < examples[node]:
            tally.cap("evaluate", node, weight)
    return selection.mean({**r.metrics, "examples": counted[n]} for n, r in replies.items())


def _not_finite(tally: RoundCounters) -> int:
    return sum(kinds.get("not finite", 0) for kinds in tally.dropped.values())


def collect_replies(
    wanted: type[Wanted],
    nodes: Nodes,
    task: Task,
    sent: Sequence[Instruction],
    breathe: Callable[[], None],
    tally: RoundCounters,
) -> Iterator[Wanted]:
    """Yield what nodes reply, as it arrives.

    A node that fails, or misses the deadline, is counted in ``tally`` and left out.

    Args:
        wanted: The kind of reply that was asked for.
        nodes: Where replies come from.
        task: For its deadline.
        sent: What each is asked.
        breathe: Called between messages.
        tally: Counts of the round so far.
    """
    tally.sent += sum(instruction.nbytes for instruction in sent)
    nodes.dispatch(sent)
    ends = None if task.deadline is None else timing.unpaused() + task.deadline
    number, pending = sent[0].round, {told.node for told in sent}
    while pending:
        breathe()
        reply = nodes.receive(None if ends is None else ends - timing.unpaused())
        if reply is None:
            break
        tally.receive(reply)
        if (refusal := _fault(reply, number, pending, wanted)) is not None:
            tally.refuse(reply.node, refusal)
        elif isinstance(reply, wanted):
            yield reply
        if reply.round == number:
            pending.discard(reply.node)
    for node in sorted(pending):
        tally.refuse(node, LOST if task.deadline is None else SILENT)
    if pending:
        nodes.abandon()


def _fault(
    reply: Reply, number: int, pending: set[str], wanted: type[Evaluation | Predictions]
) -> Refusal | None:
    kind = _KINDS[wanted]
    if reply.round < number:
        return Refusal("late", f"late: for round {reply.round}")
    if reply.round > number:
        return Refusal("other round", f"for round {reply.round}, and this is round {number}")
    if reply.node not in pending:
        return Refusal("duplicate", f"a second {kind}")
    if isinstance(reply, Failure):
        return Refusal(kind if reply.kind == "failed" else reply.kind, f"{kind}: {reply.reason}")
    if not isinstance(reply, wanted):
        return Refusal(kind, f"no {kind}, but something else")
    if refusal := of_examples(reply.examples):
        return refusal
    if isinstance(reply, Evaluation):
        return figures_fault(reply.metrics)
    outputs = arrays_fault(reply.outputs, "outputs", int(reply.examples))
    return outputs or figures_fault(reply.metrics, most=MOST_SHARES)

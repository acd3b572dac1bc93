"""Who takes part in a round, what they are told, and the mean of what they report."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from aeros_core import streams
from aeros_core.intake import Nodes
from aeros_core.messages import Action, Broadcast, Instruction, Metrics
from aeros_core.parameters import Parameters
from aeros_core.roles import Collector, SupportsBriefing, SupportsBroadcast
from aeros_core.task import Task

__all__ = ["ask", "instruct", "mean", "select"]


def select(task: Task, nodes: Nodes, number: int) -> list[str]:
    """Return the ids of the nodes of round ``number``, drawn without replacement.

    Takes time and memory in proportion to the cohort, not to the population.
    """
    if task.cohort is None or task.cohort == len(nodes):
        return [nodes.name(i) for i in range(len(nodes))]
    rng = streams.stream(task.seed, "select", number)
    drawn = rng.choice(len(nodes), size=task.cohort, replace=False, shuffle=False)
    return [nodes.name(int(i)) for i in sorted(drawn)]


def instruct(
    task: Task, collector: Collector, parameters: Parameters, number: int, cohort: Sequence[str]
) -> list[Instruction]:
    """Return the training instruction of each node in the cohort."""
    to_all = (
        collector.broadcast(number) if isinstance(collector, SupportsBroadcast) else Broadcast()
    )
    own = collector.brief if isinstance(collector, SupportsBriefing) else None
    instructions = []
    for node in cohort:
        told = _both(to_all, own(number, node)) if own else to_all
        instructions.append(
            Instruction(
                round=number,
                node=node,
                parameters=parameters,
                seed=streams.seed(task.seed, "train", number, node),
                scalars=told.scalars,
                vectors=told.vectors,
                deadline=task.deadline,
            )
        )
    return instructions


def _both(to_all: Broadcast, to_one: Broadcast) -> Broadcast:
    return Broadcast({**to_all.scalars, **to_one.scalars}, {**to_all.vectors, **to_one.vectors})


def ask(
    task: Task, parameters: Parameters, number: int, cohort: Sequence[str]
) -> list[Instruction]:
    """Return the evaluation instruction of each node in the cohort."""
    return [
        Instruction(
            round=number,
            node=node,
            parameters=parameters,
            action=Action.EVALUATE,
            seed=streams.seed(task.seed, "evaluate", number, node),
            deadline=task.deadline,
        )
        for node in cohort
    ]


def mean(figures: Iterable[Metrics]) -> dict[str, float]:
    """Return the mean of each figure over all nodes, weighted by ``examples``."""
    rows = list(figures)
    names = {name for row in rows for name in row} - {"examples"}
    return {name: _mean([row for row in rows if name in row], name) for name in sorted(names)}


def _mean(rows: Sequence[Metrics], name: str) -> float:
    return sum(row["examples"] * row[name] for row in rows) / sum(row["examples"] for row in rows)

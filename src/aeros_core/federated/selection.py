"""Who takes part in a round, what they are told, and the mean of what they report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

from aeros_core import seeding
from aeros_core.errors import ConfigError
from aeros_core.messages import Action, Broadcast, Instruction, Metrics
from aeros_core.parameters import Parameters
from aeros_core.roles.collector import Collector, SupportsBroadcast, SupportsPerNodeBroadcast
from aeros_core.roles.nodes import Nodes, SupportsPresence
from aeros_core.tasks.task import Task

__all__ = ["ask", "await_quorum", "broadcast", "check", "instruct", "mean", "select", "stated"]


def check(task: Task, nodes: Nodes) -> None:
    """Make sure that there are as many nodes as a round asks for.

    Raises:
        ConfigError: There are fewer.
    """
    there = len(nodes)
    for option in ("cohort", "quorum", "min_updates"):
        asked = getattr(task, option)
        if asked is not None and asked > there:
            raise ConfigError(
                f"task.{option}={asked} asks for more nodes than there are",
                exists=f"{there} nodes",
                hint=f"task.{option}={there}, or cut the data into more clients",
            )


def await_quorum(task: Task, nodes: Nodes, check: Callable[[], None]) -> None:
    """Wait until as many nodes are there as a round needs good updates.

    Raises:
        TaskError: They have not come in time.
    """
    if len(nodes) < task.quorum and isinstance(nodes, SupportsPresence):
        nodes.wait_for(task.quorum, check)


def select(task: Task, nodes: Nodes, number: int, attempt: int = 0) -> list[str]:
    """Return the ids of the nodes of round ``number``; see `stated`."""
    return list(stated(task, nodes, number, attempt))


def stated(task: Task, nodes: Nodes, number: int, attempt: int = 0) -> dict[str, int]:
    """Return the nodes of round ``number``, drawn without replacement, and their examples.

    Examples are those that each stated when it joined; 0 where that is not known.

    Where fewer than ``task.cohort`` are there, it is all of them. Larger ones come first, so
    that nobody waits for a long one that was begun last.
    Takes time and memory in proportion to the cohort, not to the population.
    """
    there = len(nodes)  # once: nodes come and go
    if task.cohort is None or task.cohort >= there:
        drawn = np.arange(there)
    else:
        rng = seeding.stream(task.seed, "select", number, *([attempt] if attempt else []))
        drawn = rng.choice(there, size=task.cohort, replace=False, shuffle=False)
        drawn.sort()
    sizes = nodes.sizes(drawn)
    order = np.argsort(-sizes, kind="stable")
    names = [nodes.name(i) for i in drawn[order].tolist()]
    return dict(zip(names, sizes[order].tolist(), strict=True))


def instruct(
    task: Task,
    collector: Collector,
    parameters: Parameters,
    number: int,
    cohort: Sequence[str],
    attempt: int = 0,
    *,
    delta: bool = False,
) -> list[Instruction]:
    """Return the training instruction of each node in the cohort."""
    to_all = broadcast(collector, number)
    own = collector.broadcast_to if isinstance(collector, SupportsPerNodeBroadcast) else None
    again = (attempt,) if attempt else ()
    seeds = seeding.seeds(task.seed, "train", number, *again, last=cohort)
    instructions = []
    for node, seed in zip(cohort, seeds, strict=True):
        told = to_all if own is None else _both(to_all, own(number, node))
        instructions.append(
            Instruction(
                number, node, parameters, Action.TRAIN, seed, told.scalars, told.vectors,
                task.deadline, told.personal, delta,
            )
        )  # fmt: skip
    return instructions


def broadcast(collector: Collector, number: int) -> Broadcast:
    """Return what a collector tells every node of a round; nothing, if it tells nothing."""
    return collector.broadcast(number) if isinstance(collector, SupportsBroadcast) else Broadcast()


def _both(to_all: Broadcast, to_one: Broadcast) -> Broadcast:
    return Broadcast(
        {**to_all.scalars, **to_one.scalars},
        {**to_all.vectors, **to_one.vectors},
        to_all.personal + to_one.personal,
    )


def ask(
    task: Task,
    parameters: Parameters,
    number: int,
    cohort: Sequence[str],
    personal: tuple[str, ...] = (),
) -> list[Instruction]:
    """Return the evaluation instruction of each node in the cohort."""
    return [
        Instruction(
            round=number,
            node=node,
            parameters=parameters,
            action=Action.EVALUATE,
            seed=seeding.seed(task.seed, "evaluate", number, node),
            deadline=task.deadline,
            personal=personal,
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

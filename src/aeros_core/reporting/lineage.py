"""What a run was made from, what came of it, and what each of its nodes did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from aeros_core.records import Run
from aeros_core.results import Round
from aeros_core.roles.repository import Repository

__all__ = ["DAMAGED", "UNFINISHED", "damaged", "lineage", "nodes", "summary"]

UNFINISHED = "unfinished"
"""Status of a run that has no result: it goes on, or its process was killed."""

DAMAGED = "damaged"
"""Status of a run whose records cannot be read."""

_CHOSEN = ("collector", "trainer", "transformer", "controller")


def summary(repository: Repository, run: Run) -> dict[str, Any]:
    """Return a run in one row; one that has not ended is summed up from its rounds.

    Raises:
        RepositoryError: A record of it is damaged.
    """
    result = repository.result(run.id) or _so_far(repository.history(run.id))
    taken = ("status", "rounds", "metrics", "seconds", "bytes", "model")
    return {
        "run": run.id,
        "task": run.task,
        **{key: result[key] for key in taken},
        "created": run.created,
    }


def damaged(run: Run) -> dict[str, Any]:
    """Return the row of a run of which nobody knows what came of it."""
    return {"run": run.id, "task": run.task, **_so_far([]), "status": DAMAGED,
            "created": run.created}  # fmt: skip


def lineage(repository: Repository, run: Run, rounds: Sequence[Round]) -> dict[str, Any]:
    """Return what a run was made from: configuration, data, nodes, models and their parents.

    Raises:
        RepositoryError: The models cannot be read.
    """
    task, infrastructure = run.config.get("task") or {}, run.config.get("infrastructure") or {}
    began = {"start": task.get("start"), "data": infrastructure.get("data")}
    return {
        "identity": run.identity,
        **{key: value for key, value in began.items() if value},
        **{part: run.config[part] for part in _CHOSEN if part in run.config},
        "nodes": {
            node: {"updates": told["updates"], "refused": told["refused"]}
            for node, told in nodes(rounds).items()
        },
        "models": _models(repository, run),
        "versions": dict(run.versions),
    }


def nodes(rounds: Sequence[Round]) -> dict[str, dict[str, Any]]:
    """Return what each node did, by its name.

    Returns:
        Its ``updates`` that were taken, the rounds in which it is missing (``refused``), how
        often something of it was ``dropped``, the ``examples`` of its last update, and what
        it measured with it (``metrics``).
    """
    updates = Counter(node for done in rounds for node in done.nodes)
    refused = Counter(node for done in rounds for node in done.refused)
    dropped: Counter[str] = Counter()
    last: dict[str, Mapping[str, float]] = {}
    for done in rounds:
        last |= done.nodes
        dropped.update({node: sum(kinds.values()) for node, kinds in done.dropped.items()})
    return {
        node: {
            "updates": updates[node],
            "refused": refused[node],
            "dropped": dropped[node],
            "examples": last.get(node, {}).get("examples", 0),
            "metrics": {k: v for k, v in last.get(node, {}).items() if k != "examples"},
        }
        for node in sorted({*updates, *refused, *dropped})
    }


def _so_far(rounds: Sequence[Round]) -> dict[str, Any]:
    measured = next((r.watched for r in reversed(rounds) if r.watched), {})
    return {
        "status": UNFINISHED,
        "rounds": rounds[-1].number if rounds else 0,
        "metrics": dict(measured),
        "seconds": sum(r.seconds.get("total", 0.0) for r in rounds),
        "bytes": {"sent": sum(r.sent for r in rounds), "received": sum(r.received for r in rounds)},
        "model": {},
    }


def _models(repository: Repository, run: Run) -> list[dict[str, Any]]:
    """Return the versions that a run has stored, also one that nobody tells of any more."""
    told = (repository.result(run.id) or {}).get("model") or {}
    names = sorted({run.task, told.get("name", run.task)})
    infos = [info for name in names for info in repository.models(name) if info.run == run.id]
    return [
        {
            "model": f"{info.name}:{info.version}",
            "digest": info.digest,
            "parents": list(info.parents),
        }
        for info in infos
    ]

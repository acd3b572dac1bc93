"""The command ``aeros results``: which runs there were, what each did and was made from."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aeros_core import words
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.tables import table

if TYPE_CHECKING:
    from aeros_core.outcomes import Round
    from aeros_core.records import ModelInfo, Run
    from aeros_core.roles import Repository

__all__ = ["UNFINISHED", "add_results"]

UNFINISHED = "unfinished"
"""Status of a run that has no result: it goes on, or its process was killed."""

_CHOSEN = ("collector", "trainer", "transformer", "controller")
_SHOWN = 8


def add_results(parser: argparse.ArgumentParser) -> None:
    """Give the command ``aeros results`` its options."""
    parser.add_argument("words", nargs="*", metavar="[RUN] repository.option=value")
    parser.add_argument("--task", help="runs of this task alone")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(command=_results)


def _results(parsed: argparse.Namespace) -> int:
    repository, names = words.repository(parsed.words)
    if len(names) > 1 or (names and parsed.task):
        raise ConfigError(
            "aeros results takes one run, or a task, or nothing for all runs",
            hint="aeros results [RUN | --task NAME] [--json] repository.option=value",
        )
    if names:
        _one(repository, _found(repository, names[0]), as_json=parsed.json)
    else:
        _all(repository, _of_task(repository, parsed.task), as_json=parsed.json)
    return 0


def _found(repository: Repository, name: str) -> Run:
    runs = {run.id: run for run in repository.runs()}
    if name not in runs:
        raise RepositoryError(
            f"run '{name}' is not stored",
            exists=_some("run", list(runs)),
            hint="aeros results lists them all" if runs else "aeros run makes one",
        )
    return runs[name]


def _of_task(repository: Repository, task: str | None) -> Sequence[Run]:
    runs = repository.runs(task)
    if task is not None and not runs:
        tasks = sorted({run.task for run in repository.runs()})
        raise RepositoryError(
            f"no run of task '{task}' is stored",
            exists=_some("task", tasks),
            hint="aeros results lists them all" if tasks else "aeros run makes one",
        )
    return runs


# ---------------------------------------------------------------- all runs


def _all(repository: Repository, runs: Sequence[Run], *, as_json: bool) -> None:
    rows = [_summary(repository, run) for run in runs]
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    shown = [
        row | _figures(row["metrics"]) | {"model": _model(row), "bytes": sum(row["bytes"].values())}
        for row in rows
    ]
    metrics = sorted({name for row in rows for name in row["metrics"]})
    columns = ["run", "task", "status", "rounds", *metrics, "bytes", "model", "created"]
    print(table(shown, columns))


def _summary(repository: Repository, run: Run) -> dict[str, Any]:
    """Return a run in one row; one that has not ended is summed up from its rounds."""
    result = repository.result(run.id) or _so_far(repository.history(run.id))
    taken = ("status", "rounds", "metrics", "seconds", "bytes", "model")
    return {
        "run": run.id,
        "task": run.task,
        **{key: result[key] for key in taken},
        "created": run.created,
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


def _model(row: Mapping[str, Any]) -> str:
    return "{name}:{version}".format(**row["model"]) if row["model"] else ""


# ---------------------------------------------------------------- one run


def _one(repository: Repository, run: Run, *, as_json: bool) -> None:
    rounds = repository.history(run.id)
    summary = _summary(repository, run)
    lineage = _lineage(run, rounds, _models_of(repository, summary))
    if as_json:
        described = summary | {"lineage": lineage, "history": [r.to_json() for r in rounds]}
        print(json.dumps(described, indent=2))
        return
    nodes = _some("node", list(lineage["nodes"]))
    print(words.page(summary | {"lineage": lineage | {"nodes": nodes}}))
    metrics = sorted({name for r in rounds for name in r.watched})
    columns = ["round", *metrics, "nodes", "refused", "seconds"]
    print(f"\n{table([_row(r) for r in rounds], columns)}")
    for r in rounds:
        for node, reason in r.refused.items():
            print(f"round {r.number} refused {node}: {reason}")


def _models_of(repository: Repository, summary: Mapping[str, Any]) -> list[ModelInfo]:
    """Return the versions that a run has stored, also one that nobody tells of any more."""
    names = {summary["task"], summary["model"].get("name", summary["task"])}
    found = [info for name in sorted(names) for info in repository.models(name)]
    return [info for info in found if info.run == summary["run"]]


def _lineage(run: Run, rounds: Sequence[Round], infos: Sequence[ModelInfo]) -> dict[str, Any]:
    return {
        "identity": run.identity,
        **{part: run.config[part] for part in _CHOSEN if part in run.config},
        "nodes": _took_part(rounds),
        "models": [
            {
                "model": f"{info.name}:{info.version}",
                "digest": info.digest,
                "parents": list(info.parents),
            }
            for info in infos
        ],
        "versions": dict(run.versions),
    }


def _took_part(rounds: Sequence[Round]) -> dict[str, dict[str, int]]:
    """Return how many updates of each node were taken, and how many were missing."""
    nodes = sorted({node for r in rounds for node in [*r.nodes, *r.refused]})
    return {
        node: {
            "updates": sum(node in r.nodes for r in rounds),
            "refused": sum(node in r.refused for r in rounds),
        }
        for node in nodes
    }


def _row(r: Round) -> dict[str, object]:
    counts = {"round": r.number, "nodes": len(r.nodes), "refused": len(r.refused)}
    return {**_figures(r.watched), **counts, "seconds": float(r.seconds.get("total", 0.0))}


def _figures(metrics: Mapping[str, float]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items()}


def _some(noun: str, names: Sequence[str]) -> str:
    if not names:
        return f"no {noun} at all"
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return f"{words.counted(len(names), noun)}: {shown}"

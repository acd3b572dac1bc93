"""The command ``aeros results``: which runs there were, what each did and was made from."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from aeros_core.cli import arguments
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.reporting import text
from aeros_core.reporting.tables import figures, main, table

if TYPE_CHECKING:  # numpy comes with them
    from aeros_core.records import Run
    from aeros_core.reporting.queries import Entry, Names, Query
    from aeros_core.results import Round
    from aeros_core.roles.repository import Repository

__all__ = ["add_results"]

_SHOWN = 8
_NODES = 20
_MANY = ("task", "status", "where", "since", "until", "best", "newest", "limit", "offset",
         "columns")  # fmt: skip


def add_results(parser: argparse.ArgumentParser) -> None:
    """Give the command ``aeros results`` its options."""
    option = parser.add_argument
    option("words", nargs="*", metavar="[RUN] repository.option=value")
    option("--task", help="runs of this task alone")
    option("--status", help="of these, by commas: finished, failed, unfinished, …")
    told = "an option or a metric: collector=fedavg, task.seed!=3, 'accuracy>=0.9'"
    option("--where", action="append", default=[], metavar="KEY=VALUE", help=told)
    option("--since", metavar="WHEN", help="begun since: 2026-11-28, 12h, 7d")
    option("--until", metavar="WHEN", help="begun until")
    option("--best", metavar="METRIC", help="the best of this metric first")
    option("--newest", action="store_true", help="the newest first")
    option("--limit", type=int, help="so many at most (default: all)")
    option("--offset", type=int, default=0, help="pass over so many")
    option("--columns", metavar="A,B,…", help="what is shown: run, accuracy, task.seed, …")
    option("--nodes", action="store_true", help="of one run: every node")
    option("--json", action="store_true", help="as JSON")
    parser.set_defaults(command=_results)


def _results(parsed: argparse.Namespace) -> int:
    repository, names = arguments.repository(parsed.words)
    chosen = any(vars(parsed)[name] for name in _MANY)
    if len(names) > 1 or (names and chosen) or (parsed.nodes and not names):
        raise ConfigError(
            "aeros results takes one run, or what runs have to be, or nothing for all runs",
            hint="aeros results [RUN [--nodes] | --task NAME --where KEY=VALUE …] [--json]"
            " repository.option=value",
        )
    if names:
        _one(repository, _found(repository, names[0]), parsed)
    else:
        _all(repository, parsed)
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


# ---------------------------------------------------------------- many runs


def _all(repository: Repository, parsed: argparse.Namespace) -> None:
    from aeros_core.reporting.queries import Entry

    query = _query(parsed)
    runs = _of_task(repository, parsed.task)
    found = query.of([Entry(run, partial(_summary, repository)) for run in runs])
    page = found[parsed.offset :][: parsed.limit]
    columns = parsed.columns.replace(" ", "").split(",") if parsed.columns else []
    _check_columns(columns, page)
    if parsed.json:
        print(json.dumps([_picked(entry, columns) for entry in page], indent=2))
        return
    metrics = sorted({name for entry in page for name in main(entry.row["metrics"])})
    usual = ["run", "task", "status", "rounds", *metrics, "bytes", "model", "created"]
    shown = columns or usual
    print(table([_cells(entry, shown, query.names) for entry in page], shown))
    if parsed.limit is not None or parsed.offset:
        print(text.shown("run", parsed.offset, len(page), len(found)))


def _summary(repository: Repository, run: Run) -> Mapping[str, Any]:
    """Return a run in one row, also one whose records are damaged, which is told."""
    from aeros_core.reporting import lineage

    try:
        return lineage.summary(repository, run)
    except RepositoryError as error:
        print(f"aeros: run '{run.id}' cannot be read: {error.asked}", file=sys.stderr)
        return lineage.damaged(run)


def _query(parsed: argparse.Namespace) -> Query:
    from aeros_core.reporting.queries import Query, condition, moment

    if parsed.offset < 0 or (parsed.limit is not None and parsed.limit < 1):
        raise ConfigError(
            "aeros results shows a page of the runs",
            exists="--limit from 1, --offset from 0",
            hint="aeros results --limit 20 --offset 40 --newest",
        )
    now = datetime.now(UTC)
    return Query(
        conditions=[condition(word) for word in parsed.where],
        statuses=_statuses(parsed.status),
        since=moment(parsed.since, now) if parsed.since else None,
        until=moment(parsed.until, now, end=True) if parsed.until else None,
        best=parsed.best,
        newest=parsed.newest,
        names=_names() if parsed.where or parsed.columns else {},
    )


def _names() -> dict[str, set[str]]:
    """Return what installed plugins call the parts that targets implement."""
    from aeros_core.plugins import discovery

    names: dict[str, set[str]] = {}
    for option in discovery.discover().options.values():
        names.setdefault(option.target, set()).add(option.name)
    return names


def _statuses(words: str | None) -> set[str]:
    from aeros_core.reporting.lineage import DAMAGED, UNFINISHED
    from aeros_core.results import Status

    known = {status.lower(): str(status) for status in (*Status, UNFINISHED, DAMAGED)}
    asked = [word.strip().lower() for word in (words or "").split(",") if word.strip()]
    if unknown := [word for word in asked if word not in known]:
        raise ConfigError(
            f"--status {unknown[0]}: no run can be that",
            exists=", ".join(sorted(known)),
            hint="--status finished,unfinished",
        )
    return {known[word] for word in asked}


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


def _check_columns(columns: Sequence[str], page: Sequence[Entry]) -> None:
    from aeros_core.reporting.queries import ABSENT

    for name in columns:
        if page and all(_column(entry, name) is ABSENT for entry in page):
            raise ConfigError(
                f"--columns {name}: no run that is shown has it",
                exists=", ".join([*page[0].row, *sorted(page[0].row["metrics"])]),
                hint="or any option of the configuration: --columns run,collector,task.seed",
            )


def _picked(entry: Entry, columns: Sequence[str]) -> Mapping[str, Any]:
    from aeros_core.reporting.queries import ABSENT

    values = {name: _column(entry, name) for name in columns}
    return {k: None if v is ABSENT else v for k, v in values.items()} or entry.row


def _cells(entry: Entry, columns: Sequence[str], names: Names) -> dict[str, Any]:
    """Return a run as a table shows it."""
    from aeros_core.reporting.queries import spelled

    row = entry.row
    ready = {
        **row,
        "bytes": sum(row["bytes"].values()),
        "model": "{name}:{version}".format(**row["model"]) if row["model"] else "",
    }
    return {
        name: ready[name] if name in ready else spelled(_column(entry, name), names)
        for name in columns
    }


def _column(entry: Entry, name: str) -> Any:
    """Return what a column shows: first of what came of the run, then of what it was told."""
    return entry.row[name] if name in entry.row else entry.told(name)


# ---------------------------------------------------------------- one run


def _one(repository: Repository, run: Run, parsed: argparse.Namespace) -> None:
    from aeros_core.reporting import lineage

    rounds = repository.history(run.id)
    summary = lineage.summary(repository, run)
    origin = lineage.lineage(repository, run, rounds)
    nodes = lineage.nodes(rounds)
    if parsed.json:
        history = [done.to_json() for done in rounds]
        print(json.dumps(summary | {"lineage": origin, "nodes": nodes, "history": history},
                         indent=2))  # fmt: skip
        return
    print(text.page(summary | {"lineage": origin | {"nodes": _some("node", list(nodes))}}))
    metrics = sorted({name for done in rounds for name in main(done.watched)})
    columns = ["round", *metrics, "nodes", "refused", "seconds"]
    print(f"\n{table([_row(done) for done in rounds], columns)}")
    for done in rounds:
        for node, reason in done.refused.items():
            print(f"round {done.number} refused {node}: {reason}")
    _print_nodes(nodes, every=parsed.nodes)


def _print_nodes(nodes: Mapping[str, Mapping[str, Any]], *, every: bool) -> None:
    """Print what nodes did: those that did most first, and where they are many only some."""
    ordered = sorted(nodes.items(), key=lambda item: -item[1]["updates"])
    some = ordered if every else ordered[:_NODES]
    metrics = sorted({name for _, told in some for name in main(told["metrics"])})
    columns = ["node", "updates", "refused", "dropped", "examples", *metrics]
    rows = [{"node": node, **told, **figures(told["metrics"])} for node, told in some]
    print(f"\n{table(rows, columns)}")
    if len(some) < len(ordered):
        print(f"{text.counted(len(ordered) - len(some), 'node')} more; --nodes shows them")


def _row(done: Round) -> dict[str, object]:
    counts = {"round": done.number, "nodes": len(done.nodes), "refused": len(done.refused)}
    return {**figures(done.watched), **counts, "seconds": float(done.seconds.get("total", 0.0))}


def _some(noun: str, names: Sequence[str]) -> str:
    if not names:
        return f"no {noun} at all"
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return f"{text.counted(len(names), noun)}: {shown}"

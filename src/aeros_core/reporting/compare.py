"""Runs of a sweep, side by side: a table and a plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from aeros_core.errors import ConfigError
from aeros_core.options.choices import OPTION, is_choice, option_name, options_in
from aeros_core.reporting import curves
from aeros_core.reporting.tables import main
from aeros_core.results import Result, Round
from aeros_core.tasks.identity import flatten

__all__ = ["Record", "columns", "compare", "draw", "read"]

_OPTION = f".{OPTION}"

NOT_COMPARED = ("task.name", "task.resume", "task.subtasks.", "repository.")


@dataclass(frozen=True, slots=True)
class Record:
    """What one run's directory holds.

    Args:
        name: The directory, relative to where the comparison looks.
        options: The resolved configuration, keys joined by dots.
        rounds: Every committed round.
        result: How it ended.
    """

    name: str
    options: Mapping[str, Any]
    rounds: Sequence[Round]
    result: Result


def read(folder: Path) -> list[Record]:
    """Read every run below a directory.

    Raises:
        ConfigError: There is none, or its files cannot be read.
    """
    found = sorted(folder.rglob("result.json"), key=lambda path: _natural(path.parent))
    if not found:
        raise ConfigError(
            f"no run lies below {folder}",
            exists="a run's directory holds result.json",
            hint="aeros run -m collector=fedavg,median makes a sweep in multirun/",
        )
    return [_record(path.parent, folder) for path in found]


def _chosen(node: Any) -> Any:
    """Return a configuration with parts by option and options alone, whoever wrote it."""
    if isinstance(node, list):
        return [_chosen(each) for each in node]
    if not isinstance(node, Mapping):
        return node
    inner = {key: _chosen(value) for key, value in options_in(node).items()}
    return {OPTION: option_name(node), **inner} if is_choice(node) else inner


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in path.parts]


def _record(folder: Path, top: Path) -> Record:
    try:
        config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
        lines = (folder / "rounds.jsonl").read_text(encoding="utf-8").splitlines()
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return Record(
            name=str(folder.relative_to(top)),
            options=flatten(_chosen(cast("Mapping[str, Any]", config))),
            rounds=[Round.from_json(json.loads(line)) for line in lines],
            result=Result.from_json(result),
        )
    except Exception as error:  # whatever is wrong with files that anybody may have written
        first = str(error).partition("\n")[0]
        raise ConfigError(
            f"{folder} is no run's directory: {type(error).__name__}: {first}",
            exists="config.yaml, rounds.jsonl and result.json",
            hint="move it away, or compare another directory",
        ) from error


def columns(records: Sequence[Record]) -> list[str]:
    """Return the options in which the runs differ, as few as tell them apart."""
    keys = {key for record in records for key in record.options}
    differing = [
        key
        for key in sorted(keys)
        if not key.startswith(NOT_COMPARED)
        and len({repr(record.options.get(key)) for record in records}) > 1
    ]
    roles = {_heading(key) for key in differing if key.endswith(_OPTION)}
    return [
        key
        for key in differing
        if key.endswith(_OPTION) or not any(key.startswith(f"{role}.") for role in roles)
    ]


def compare(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a row for each run: what it was told, and what came of it."""
    keys = columns(records)
    rows = []
    for record in records:
        row: dict[str, Any] = {"run": record.name}
        row |= {_heading(key): record.options.get(key, "") for key in keys}
        row |= {"status": str(record.result.status), "rounds": record.result.rounds}
        row |= main(record.result.metrics)
        row["seconds"] = round(record.result.seconds, 2)
        rows.append(row)
    return rows


def _heading(key: str) -> str:
    return key.removesuffix(_OPTION)


def draw(records: Sequence[Record], path: Path) -> None:
    """Draw the learning curves of all runs into one PNG."""
    keys = columns(records)
    runs = {
        ", ".join([record.name, *(str(record.options.get(k, "")) for k in keys)]):
        record.rounds
        for record in records
    }  # fmt: skip
    curves.draw(runs, path, f"{len(records)} runs")

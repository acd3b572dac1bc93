"""Runs of a sweep, side by side: a table and a plot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from omegaconf import OmegaConf

from aeros_core import curves
from aeros_core.errors import ConfigError
from aeros_core.outcomes import Result, Round
from aeros_core.sitting import flatten
from aeros_core.tables import main

__all__ = ["Record", "columns", "compare", "draw", "read"]

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


def _natural(path: Path) -> list[tuple[int, str]]:
    return [(int(part), "") if part.isdigit() else (-1, part) for part in path.parts]


def _record(folder: Path, top: Path) -> Record:
    try:
        config = OmegaConf.to_container(OmegaConf.load(folder / "config.yaml"))
        lines = (folder / "rounds.jsonl").read_text(encoding="utf-8").splitlines()
        result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
        return Record(
            name=str(folder.relative_to(top)),
            options=flatten(cast("Mapping[str, Any]", config)),
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
    roles = {k.removesuffix("._target_") for k in differing if k.endswith("._target_")}
    return [
        key
        for key in differing
        if key.endswith("._target_") or not any(key.startswith(f"{role}.") for role in roles)
    ]


def compare(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return a row for each run: what it was told, and what came of it."""
    keys = columns(records)
    rows = []
    for record in records:
        row: dict[str, Any] = {"run": record.name}
        row |= {_heading(key): _value(key, record.options.get(key, "")) for key in keys}
        row |= {"status": str(record.result.status), "rounds": record.result.rounds}
        row |= main(record.result.metrics)
        row["seconds"] = round(record.result.seconds, 2)
        rows.append(row)
    return rows


def _heading(key: str) -> str:
    return key.removesuffix("._target_")


def _value(key: str, value: Any) -> Any:
    return str(value).rpartition(".")[2] if key.endswith("._target_") else value


def draw(records: Sequence[Record], path: Path) -> None:
    """Draw the learning curves of all runs into one PNG."""
    keys = columns(records)
    runs = {
        ", ".join([record.name, *(str(_value(k, record.options.get(k, ""))) for k in keys)]):
        record.rounds
        for record in records
    }  # fmt: skip
    curves.draw(runs, path, f"{len(records)} runs")

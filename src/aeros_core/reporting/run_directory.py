"""What a run leaves in its directory: configuration, rounds, curve and result."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from omegaconf import OmegaConf

from aeros_core.hookspecs import hookimpl
from aeros_core.messages import Predictions
from aeros_core.reporting import curves
from aeros_core.results import Result, Round
from aeros_core.tasks.task import Task

__all__ = ["RunDirectory"]


class RunDirectory:
    """Writes the files of one run as it happens.

    ``config.yaml`` is the resolved configuration, ``rounds.jsonl`` one line a committed
    round (earlier ones too, where a run is resumed), ``curve.png`` the learning curve,
    ``result.json`` how it ended, ``predictions`` what nodes answered, if that was asked for.

    Args:
        folder: The run's directory; made if need be.
        config: The resolved configuration.
    """

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self.folder = folder
        self._rounds: list[Round] = []
        self._told = False
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.yaml").write_text(OmegaConf.to_yaml(dict(config)), encoding="utf-8")

    @hookimpl
    def aeros_before_task(self, history: Sequence[Round]) -> None:
        """Start ``rounds.jsonl`` with what earlier sittings committed."""
        self._rounds = list(history)
        lines = "".join(map(_line, history))
        with self._going_on():
            (self.folder / "rounds.jsonl").write_text(lines, encoding="utf-8")

    @hookimpl
    def aeros_after_scores(self, scores: Predictions) -> None:
        """Write a node's answers, if they came, to ``predictions/NODE.npz``."""
        if not scores.outputs:
            return
        place = self.folder / "predictions" / f"{quote(scores.node, safe=' ')}.npz"
        place.parent.mkdir(exist_ok=True)
        half = place.with_suffix(".part")
        with half.open("wb") as file:
            np.savez(file, **scores.outputs)
        half.replace(place)

    @hookimpl
    def aeros_after_round(self, round: Round) -> None:
        """Add the round to ``rounds.jsonl``."""
        self._rounds.append(round)
        with (
            self._going_on(),
            (self.folder / "rounds.jsonl").open("a", encoding="utf-8") as file,
        ):
            file.write(_line(round))

    @hookimpl
    def aeros_after_task(self, task: Task, result: Result) -> None:
        """Write ``result.json`` and ``curve.png``."""
        text = json.dumps(_finite(result.to_json()), indent=2, allow_nan=False)
        with self._going_on():
            (self.folder / "result.json").write_text(text + "\n", encoding="utf-8")
            if self._rounds and not task.infers:
                curves.draw({task.name: self._rounds}, self.folder / "curve.png", task.name)

    @contextmanager
    def _going_on(self) -> Iterator[None]:
        """Warn once of a disk that takes no more: the repository has what is written here."""
        try:
            yield
        except OSError as error:
            if not self._told:
                self._told = True
                sys.stderr.write(
                    f"aeros: the files in {self.folder} are not complete:"
                    f" {error.strerror or error}; the run goes on, and aeros results shows it\n"
                )


def _line(round: Round) -> str:
    return json.dumps(_finite(round.to_json()), allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """Return plain data with null for NaN and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value

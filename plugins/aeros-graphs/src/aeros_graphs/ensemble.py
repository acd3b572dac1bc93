"""Combine the predictions of several members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import ConfigError
from aeros_core.records import Model, Module
from aeros_graphs.config import Combine
from aeros_graphs.graph import Graph

__all__ = ["EnsembleInferencer"]


class EnsembleInferencer(Graph):
    """Ensemble that predicts ``scores``, and ``label`` if its members do.

    The arguments are those of `config.Ensemble`.

    Raises:
        ConfigError: There are fewer than two members.
    """

    def __init__(self, *, members: Mapping[str, Any], combine: Combine | str, parallel: bool):
        super().__init__(members, least=2)
        self._combine = Combine(combine)
        self._pool = ThreadPoolExecutor(len(members)) if parallel else None

    def load(self, model: Model, module: Module | None = None) -> None:
        """Load the model of every member, and start a thread per member and concurrent batch.

        Raises:
            AerosError: A member cannot load its model; the message names it.
        """
        super().load(model, module)
        if self._pool is not None:
            self._pool = ThreadPoolExecutor(len(self.members) * self.concurrency)

    def predict(self, batch: Batch) -> Batch:
        """Return the combined predictions of all members.

        Returns:
            ``scores``, float32 of shape (rows, classes), and ``label``, shape (rows,).

        Raises:
            ConfigError: A member predicts no ``scores``, scores of a different shape, or, for
                ``combine=vote``, no labels.
        """
        run = map if self._pool is None else self._pool.map
        answers = list(run(lambda name: self.asked(name, batch), self.members))
        self._check(answers)
        scores = self._scores(answers)
        if "label" not in answers[0]:
            return {"scores": scores}
        return {"scores": scores, "label": scores.argmax(1)}

    def _check(self, answers: Sequence[Batch]) -> None:
        needed = ["scores", "label"] if self._combine is Combine.vote else ["scores"]
        shape = answers[0]["scores"].shape if "scores" in answers[0] else None
        for name, answer in zip(self.members, answers, strict=True):
            if missing := [field for field in needed if field not in answer]:
                raise ConfigError(
                    f"member '{name}' answers without '{missing[0]}'",
                    exists=", ".join(answer) or "nothing",
                    hint="inferencer.combine=mean" if missing == ["label"] else "",
                )
            if answer["scores"].shape != shape:
                raise ConfigError(
                    f"member '{name}' answers scores {answer['scores'].shape}, the first {shape}",
                    hint="choose members that answer the same",
                )

    def _scores(self, answers: Sequence[Batch]) -> Array:
        weights = self.weights
        if self._combine is Combine.mean:
            weights = np.full(len(answers), 1 / len(answers))
        columns = [
            _ballots(answer) if self._combine is Combine.vote else answer["scores"]
            for answer in answers
        ]
        total = sum(w * np.asarray(c, np.float64) for w, c in zip(weights, columns, strict=True))
        return np.asarray(total, np.float32)


def _ballots(answer: Batch) -> Array:
    """Return one vote per row as an array of zeros and ones, shape (rows, classes)."""
    ballots = np.zeros(answer["scores"].shape)
    ballots[np.arange(len(ballots)), answer["label"]] = 1
    return ballots

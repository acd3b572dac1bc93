"""What a node does that is asked to answer: a stored model over the node's own rows."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Dataset
from aeros_core.inference import statistics
from aeros_core.messages import Instruction, Predictions
from aeros_core.parameters import Parameters
from aeros_core.roles.inferencer import Predictor
from aeros_core.schema import Field, Schema
from aeros_core.tasks.task import InferenceOutput

__all__ = ["InferenceWorker"]

ROWS = 4096
"""Rows that are answered at once, so that memory does not grow with a node's data."""


class InferenceWorker:
    """Carries out instructions to infer; warm as long as the parameters stay the same.

    Args:
        serve: Makes what answers, given the model's parameters.
        schema: Of the model's data behind its transformers: what it predicts.
        collect: Whether answers are sent, or their figures alone.
    """

    def __init__(
        self, serve: Callable[[Parameters], Predictor], schema: Schema, collect: InferenceOutput
    ) -> None:
        self._serve, self._schema, self._collect = serve, schema, collect
        self._warm: tuple[Parameters, Predictor] | None = None

    def answer(self, instruction: Instruction, data: Dataset) -> Predictions:
        """Return the answers to a node's rows, or their figures.

        Args:
            instruction: Brings the parameters.
            data: Raw rows: the model's own transformers prepare them.

        Raises:
            AerosError: The model cannot be built here, or does not take such rows.
        """
        outputs = self._outputs(self._predictor(instruction.parameters), data)
        target = self._schema.target
        field = None if target is None else self._schema[target]
        measured = statistics.of(outputs, field, _truth(field, data))
        sent: dict[str, Array] = {}
        if self._collect is InferenceOutput.predictions:
            rows = np.arange(len(data)) if data.rows is None else data.rows
            sent = {"row": np.asarray(rows, np.int64), **outputs}
        return Predictions(instruction.node, instruction.round, len(data), measured, sent)

    def _predictor(self, parameters: Parameters) -> Predictor:
        if self._warm is None or self._warm[0] is not parameters:
            self._warm = None  # memory for one
            self._warm = (parameters, self._serve(parameters))
        return self._warm[1]

    def _outputs(self, predictor: Predictor, data: Dataset) -> dict[str, Array]:
        parts = []
        names = [name for name in data.schema.names if name != self._schema.target]
        for start in range(0, len(data), ROWS):
            batch = data.take(np.arange(start, min(start + ROWS, len(data)))).batch()
            parts.append(predictor.predict({name: batch[name] for name in names}))
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _truth(target: Field | None, data: Dataset) -> Array | None:
    """Return the rows' own values of what a model predicts, in its codes; None without.

    Who holds only some of the classes numbers them in a way of its own, so they are looked
    up by name; one that the model does not know is -1.
    """
    if target is None or target.name not in data.schema:
        return None
    values, names = data.batch()[target.name], data.schema[target.name].categories
    if names is None or target.categories is None or names == target.categories:
        return values
    code = {name: number for number, name in enumerate(target.categories)}
    found: Array = np.array([code.get(name, -1) for name in names], np.int64)[values]
    return found

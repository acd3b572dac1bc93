"""Improve parameters on local data; what only some trainers can do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from aeros_core.data import Dataset
from aeros_core.messages import Failure, Instruction, Metrics, Update
from aeros_core.parameters import Parameters
from aeros_core.schema import Schema

__all__ = ["SupportsCohort", "Trainer"]


@runtime_checkable
class Trainer(Protocol):
    """Improves parameters on local data, and evaluates them."""

    def expects(self, schema: Schema) -> Schema:
        """Return the schema that the model wants, given what there is.

        Lengths and dtypes the model does not care for are wildcards. The core compares
        and explains the difference; a trainer need not.
        """

    def initialise(self, schema: Schema, seed: int) -> Parameters:
        """Return the parameters a model for this schema starts from."""

    def train(self, instruction: Instruction, data: Dataset) -> Update:
        """Train from the instruction's parameters on a node's data.

        The same instruction and data give the same bits.

        Raises:
            DataError: There is no example.
        """

    def evaluate(self, parameters: Parameters, data: Dataset) -> Metrics:
        """Return metrics over these data: at least ``loss``; ``accuracy`` for classes.

        Raises:
            DataError: There is no example.
        """


@runtime_checkable
class SupportsCohort(Protocol):
    """A trainer that trains many clients in one call."""

    def train_cohort(
        self, instructions: Sequence[Instruction], data: Sequence[Dataset]
    ) -> Iterator[Update | Failure]:
        """Yield the reply to each instruction, in order.

        What goes wrong with one node's data is that node's `Failure`; the others go on.
        Collectors hold several updates at a time: an update's vectors are its own, and
        not used again.
        """

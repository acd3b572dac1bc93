"""What crosses the boundary between the task side and a node: frozen data, no objects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from aeros_core.arrays import Vector
from aeros_core.parameters import Parameters

__all__ = [
    "Action",
    "Broadcast",
    "Evaluation",
    "Failure",
    "Instruction",
    "Metrics",
    "Predictions",
    "Reply",
    "State",
    "Update",
]

Metrics: TypeAlias = Mapping[str, float]
"""Named figures such as ``loss`` and ``accuracy`` (0..1)."""

State: TypeAlias = Mapping[str, Vector | float | int | str]
"""What an object needs to go on exactly where it stopped: arrays and scalars by name."""


class Action(StrEnum):
    """What a node is asked to do."""

    TRAIN = "train"
    EVALUATE = "evaluate"
    INFER = "infer"


@dataclass(frozen=True, slots=True)
class Broadcast:
    """What a collector tells trainers beside the parameters; see `Instruction`.

    Args:
        scalars: Numbers by name.
        vectors: Float32 vectors by name.
        personal: Patterns (``*``, ``?``) of the tensors that stay on their node.
    """

    scalars: Mapping[str, float] = field(default_factory=dict)
    vectors: Mapping[str, Vector] = field(default_factory=dict)
    personal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Instruction:
    """What a round sends to one node.

    Args:
        round: Number of the round, from 1.
        node: Id of the node it is for.
        parameters: The global parameters to start from.
        action: Train, evaluate or infer.
        seed: Seed of this node's stream in this round.
        scalars: Numbers the collector announces: ``proximal_mu`` is the weight of a pull
            to ``parameters``.
        vectors: Float32 vectors the collector announces, as long as the trainable
            parameters: ``drift`` is added to the gradient of every batch.
        deadline: Seconds the node may take; None: as long as it needs.
        personal: Patterns of the tensors that stay on the node.
        delta: Whether an update is to be the difference to ``parameters``, integers and truth
            values excepted.
    """

    round: int
    node: str
    parameters: Parameters
    action: Action = Action.TRAIN
    seed: int = 0
    scalars: Mapping[str, float] = field(default_factory=dict)
    vectors: Mapping[str, Vector] = field(default_factory=dict)
    deadline: float | None = None
    personal: tuple[str, ...] = ()
    delta: bool = False

    @property
    def nbytes(self) -> int:
        """Payload in bytes."""
        return self.parameters.nbytes + sum(int(v.nbytes) for v in self.vectors.values())


@dataclass(frozen=True, slots=True)
class Update:
    """What a node's training sends back.

    Args:
        node: Id of the node.
        round: The round whose parameters it started from; behind the current round by
            its staleness.
        parameters: The node's parameters, or their difference to those it was sent. Vectors
            of integers and truth values are the node's own values in either case.
        examples: Number of examples trained on; the weight in a mean.
        metrics: Figures of the training, at least ``loss``.
        scalars: What a rule may need to know of the training: ``steps``, how many were
            taken; ``lr``, the learning rate; ``reach``, the sum of what each step's
            gradient weighs in the change, in units of ``lr`` (FedNova's norm of a);
            ``trained``, the number of trainable parameters, which come first.
        vectors: Extra vectors.
        delta: True where the floating-point vectors of ``parameters`` are differences.
    """

    node: str
    round: int
    parameters: Parameters
    examples: int
    metrics: Metrics = field(default_factory=dict)
    scalars: Mapping[str, float] = field(default_factory=dict)
    vectors: Mapping[str, Vector] = field(default_factory=dict)
    delta: bool = False

    @property
    def nbytes(self) -> int:
        """Payload in bytes."""
        return self.parameters.nbytes + sum(int(v.nbytes) for v in self.vectors.values())


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What a node's evaluation of the global parameters sends back."""

    node: str
    round: int
    examples: int
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a node answered about its own data.

    Args:
        node: Id of the node.
        round: The round it was asked in.
        examples: Number of rows it answered.
        metrics: Figures of the answers; see `aeros_core.inference.statistics`.
        outputs: The answers themselves, where they were asked for: arrays of one length by
            name, and ``row``, the number of each row in the node's data.
    """

    node: str
    round: int
    examples: int
    metrics: Metrics
    outputs: Mapping[str, Vector] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Payload in bytes."""
        return sum(int(array.nbytes) for array in self.outputs.values())


@dataclass(frozen=True, slots=True)
class Failure:
    """A node that could not do what it was asked, and why.

    Args:
        node: Its id.
        round: The round it was asked in.
        reason: What went wrong, in words.
        kind: What it is counted by (`round_counters.Refusal`). What carries messages sets it where
            something came that could not be read as an update.
    """

    node: str
    round: int
    reason: str
    kind: str = "failed"


Reply: TypeAlias = Update | Evaluation | Predictions | Failure

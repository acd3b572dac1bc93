"""What is made once for a schema, for whichever engine trains there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aeros_core.roles import Module
from aeros_core.schema import Field, Schema
from aeros_torch.batches import Feed
from aeros_torch.losses import Loss, LossFunction
from aeros_torch.network import Network
from aeros_torch.pace import Pace
from aeros_torch.recipe import Recipe

__all__ = ["Workshop"]


@dataclass(frozen=True, slots=True)
class Workshop:
    """A network, the data that go into it, and what is to be done.

    Args:
        model: What the network was built from, with ``schema``; for other processes.
        options: What the trainer was made with beside the model.
        schema: Of the data.
        network: One module, used by one engine at a time.
        feed: Makes batches of a node's data.
        target: The field to predict.
        loss: The loss by name.
        criterion: The loss for this target.
        recipe: What a round of training is.
        workers: Clients trained at the same time; 0: one for each core.
        eval_batch_size: Examples in a batch of an evaluation.
        eval_threads: Batches evaluated at the same time; 0: as many as torch has threads.
        pace: What training has taken so far, except by compiled kernels and stacked.
    """

    model: Module
    options: Mapping[str, Any]
    schema: Schema
    network: Network
    feed: Feed
    target: Field
    loss: Loss
    criterion: LossFunction
    recipe: Recipe
    workers: int
    eval_batch_size: int
    eval_threads: int
    pace: Pace = field(default_factory=Pace)

    @property
    def classes(self) -> int | None:
        """Number of classes; None where the target is a number."""
        return None if self.target.categories is None else len(self.target.categories)

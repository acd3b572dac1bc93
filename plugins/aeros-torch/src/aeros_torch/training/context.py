"""What is made once for a schema, for whichever engine trains there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aeros_core.records import Module
from aeros_core.schema import Field, Schema
from aeros_torch.modules.flat_module import FlatModule
from aeros_torch.modules.losses import Loss, LossFunction
from aeros_torch.training.batches import Batches
from aeros_torch.training.local_training import LocalTraining
from aeros_torch.training.timing import ClientTiming

__all__ = ["TrainingContext"]


@dataclass(frozen=True, slots=True)
class TrainingContext:
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
    network: FlatModule
    feed: Batches
    target: Field
    loss: Loss
    criterion: LossFunction
    recipe: LocalTraining
    workers: int
    eval_batch_size: int
    eval_threads: int
    pace: ClientTiming = field(default_factory=ClientTiming)

    @property
    def classes(self) -> int | None:
        """Number of classes; None where the target is a number."""
        return None if self.target.categories is None else len(self.target.categories)

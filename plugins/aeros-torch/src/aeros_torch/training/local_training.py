"""What one round of local training is, whichever engine does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from aeros_core.messages import Instruction
from aeros_torch.config import Precision
from aeros_torch.training.optimizers import Optimizer
from aeros_torch.training.update_scalars import update_scalars

__all__ = ["LocalTraining"]


@dataclass(frozen=True, slots=True)
class LocalTraining:
    """How a node trains in a round.

    Args:
        optimizer: Takes the steps.
        epochs: Passes over the data.
        steps: Batches in all, instead of ``epochs``.
        batch_size: Examples in a batch.
        proximal_mu: Weight of the proximal term, unless the instruction announces one.
        clip_norm: Largest L2 norm of a batch's gradient; None: as long as it is.
        threads: Threads within one operator.
        precision: In which losses are computed.
    """

    optimizer: Optimizer
    epochs: int
    steps: int | None
    batch_size: int
    proximal_mu: float
    clip_norm: float | None
    threads: int
    precision: Precision

    def mu(self, instruction: Instruction) -> float:
        """Return the weight of the proximal term; what is announced wins."""
        return float(instruction.scalars.get("proximal_mu", self.proximal_mu))

    def count(self, examples: int) -> int:
        """Return the steps taken on so many examples."""
        return self.steps or self.epochs * -(-examples // self.batch_size)

    def account(self, steps: int, lr: float, mu: float, trained: int) -> Mapping[str, float]:
        """Return the scalars of an update, the same mapping for the same training."""
        return update_scalars(self.optimizer, steps, lr, mu, trained)

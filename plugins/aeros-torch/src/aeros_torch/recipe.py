"""What one round of local training is, whichever engine does it."""

from __future__ import annotations

from dataclasses import dataclass

from aeros_core.messages import Instruction
from aeros_torch.optimizers import Optimizer

__all__ = ["Recipe"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a node trains in a round.

    Args:
        optimizer: Takes the steps.
        epochs: Passes over the data.
        steps: Batches in all, instead of ``epochs``.
        batch_size: Examples in a batch.
        proximal_mu: Weight of the proximal term, unless the instruction announces one.
        clip_norm: Largest L2 norm of a batch's gradient; None: as long as it is.
        threads: Threads within one operator.
    """

    optimizer: Optimizer
    epochs: int
    steps: int | None
    batch_size: int
    proximal_mu: float
    clip_norm: float | None
    threads: int

    def mu(self, instruction: Instruction) -> float:
        """Return the weight of the proximal term; what is announced wins."""
        return float(instruction.scalars.get("proximal_mu", self.proximal_mu))

"""What an update says of the training that made it; see `Update.scalars`."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from aeros_torch.training.optimizers import Optimizer

__all__ = ["update_scalars"]


@functools.lru_cache(maxsize=4096)
def update_scalars(
    optimizer: Optimizer, steps: int, lr: float, mu: float, trained: int
) -> Mapping[str, float]:
    """Return steps, rate, reach and size; one mapping for all trainings of the same length.

    The reach is the sum of what each step's gradient weighs in the change, in units of
    the rate: the norm of a in FedNova (Wang et al. 2020, section 3). All weights of SGD are
    positive, so it is how far a gradient of one would lead. Weight decay is left out, as
    the paper does. Of an adaptive optimizer it is the number of steps.

    Args:
        optimizer: Which one.
        steps: Steps taken.
        lr: Learning rate.
        mu: Weight of the proximal term.
        trained: Number of trainable parameters.
    """
    reach = _reach(optimizer.rule, steps, lr * mu)
    return {"steps": float(steps), "lr": lr, "reach": reach, "trained": float(trained)}


def _reach(rule: Mapping[str, float] | None, steps: int, pull: float) -> float:
    momentum = 0.0 if rule is None else float(rule.get("momentum", 0.0))
    if rule is None or not (momentum or pull):
        return float(steps)
    damped, ahead = 1.0 - rule.get("dampening", 0.0), bool(rule.get("nesterov", False))
    gone, velocity = 0.0, 0.0
    for step in range(steps):
        slope = 1.0 - pull * gone
        velocity = momentum * velocity + (damped if step and momentum else 1.0) * slope
        gone += momentum * velocity + slope if ahead else velocity
    return gone

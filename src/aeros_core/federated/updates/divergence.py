"""When a training has diverged: a run that is of no use ends as FAILED, not as FINISHED."""

from __future__ import annotations

import math
from collections.abc import Collection

from aeros_core.errors import TaskError
from aeros_core.federated.updates.validation import finite
from aeros_core.messages import Metrics
from aeros_core.parameters import Parameters

__all__ = ["HINT", "check_loss", "check_parameters", "is_common"]

HINT = (
    "train anew with a smaller learning rate (trainer.lr) or clipped gradients"
    " (trainer.clip_norm=1), with standardised features, or with another trainer.loss"
)


def is_common(reasons: Collection[str]) -> bool:
    """Return whether every node's reply was refused for NaN or infinity."""
    return bool(reasons) and all(reason.startswith("NaN or infinity") for reason in reasons)


def check_loss(metrics: Metrics, number: int) -> None:
    """End a run whose evaluation has a loss that is infinite or NaN.

    Args:
        metrics: What was measured after a round; without a ``loss`` nothing is checked.
        number: Number of the round.

    Raises:
        TaskError: The loss is not finite.
    """
    loss = metrics.get("loss", 0.0)
    if not math.isfinite(loss):
        raise TaskError(
            f"round {number}: the evaluation's loss is {loss}, though the parameters are finite",
            exists=", ".join(f"{name}={value:g}" for name, value in sorted(metrics.items())),
            hint=HINT,
        )


def check_parameters(parameters: Parameters, number: int) -> None:
    """End a run whose aggregation rule made parameters that are not finite.

    Raises:
        TaskError: A vector holds NaN or infinity.
    """
    for dtype, vector in parameters.vectors.items():
        if not finite(vector):
            raise TaskError(
                f"round {number}: the aggregated parameters of {dtype} hold NaN or infinity",
                hint=f"a smaller step on the server (collector.server_lr); or {HINT}",
            )

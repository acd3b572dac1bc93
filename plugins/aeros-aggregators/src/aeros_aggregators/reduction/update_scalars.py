"""What rules have to know of a training beside its parameters."""

from __future__ import annotations

import math

from aeros_core.errors import DataError
from aeros_core.messages import Update

__all__ = ["reach", "reported"]


def reported(update: Update, name: str, rule: str) -> float:
    """Return a number that trainers have to report in ``Update.scalars``.

    Args:
        update: What a node sent.
        name: Which number, such as ``steps``; above 0.
        rule: The option of the group ``collector`` that needs it.

    Raises:
        DataError: It is not there, or not above 0.
    """
    value = update.scalars.get(name, math.nan)
    if not 0.0 < value < math.inf:
        raise DataError(
            f"the update of node '{update.node}' has no '{name}' above 0,"
            f" which collector={rule} goes by",
            exists=", ".join(f"{key}={number:g}" for key, number in update.scalars.items()),
            provider=update.node,
            hint=f"a trainer that reports Update.scalars['{name}'], as trainer=torch does",
        )
    return value


def reach(update: Update, rule: str) -> float:
    """Return how many plain steps of its learning rate a training was worth.

    Trainers report it where an optimizer with momentum goes further than its steps (Wang
    et al. 2020, section 4, the norm of a); without, it is the number of steps.

    Raises:
        DataError: Neither is there.
    """
    return reported(update, "reach" if "reach" in update.scalars else "steps", rule)

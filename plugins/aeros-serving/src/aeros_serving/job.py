"""A request on its way through a lane."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from aeros_core.data import Batch
from aeros_serving.failures import Refused
from aeros_serving.served import Explain

__all__ = ["Job"]


@dataclass(slots=True, eq=False)
class Job:
    """A request in a lane.

    Args:
        batch: Its rows, checked.
        rows: How many.
        done: Told the answer, or why there is none; in the event loop's thread, and not
            where the request was cancelled.
        deadline: Monotonic time after which nobody waits for it.
        entered: Monotonic time when it came.
        cancelled: Whether nobody waits for it any more.
        how: How its answer is to be explained; None: not at all.
    """

    batch: Batch
    rows: int
    done: Callable[[Batch | Refused], None]
    deadline: float = math.inf
    entered: float = 0.0
    cancelled: bool = False
    how: Explain | None = None

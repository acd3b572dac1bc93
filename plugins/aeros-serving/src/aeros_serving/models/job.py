"""A request on its way through a lane."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import dataclass

from aeros_core.data import Batch
from aeros_serving.models.version import Explain
from aeros_serving.protocol.errors import Refused, Unavailable

__all__ = ["Job"]

_log = logging.getLogger(__name__)


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
        over: Whether it was told something.
    """

    batch: Batch
    rows: int
    done: Callable[[Batch | Refused], None]
    deadline: float = math.inf
    entered: float = 0.0
    cancelled: bool = False
    how: Explain | None = None
    over: bool = False

    def tell(self, answer: Batch | Refused) -> None:
        """Tell the answer to whoever waits for it, once."""
        if self.cancelled or self.over:
            return
        self.over = True
        try:
            self.done(answer)
        except Exception:
            _log.exception("an answer could not be given")

    def give_up(self) -> bool:
        """Tell that the server has ended; return whether somebody waited for the answer."""
        waited = not (self.cancelled or self.over)
        self.tell(Unavailable("the server has ended before the request was answered"))
        return waited

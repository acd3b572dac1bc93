"""Where a round's time goes on the wire, as the side sees it that waits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["WAITED", "timed"]

WAITED = {"send": 0.0, "receive": 0.0}
"""Seconds spent so far handing messages over, and waiting for replies, by this process."""


@contextmanager
def timed(phase: str) -> Iterator[None]:
    """Add what is done within to ``send`` or ``receive``."""
    began = time.monotonic()
    try:
        yield
    finally:
        WAITED[phase] += time.monotonic() - began

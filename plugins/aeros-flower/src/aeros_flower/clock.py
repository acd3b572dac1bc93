"""Where a round's time goes on the wire: the core's clock, which keeps it with the round."""

from __future__ import annotations

from aeros_core.clock import WAITED, timed

__all__ = ["WAITED", "timed"]

"""This machine's clock, held against that of a server that says its own."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["apart", "offset"]


def offset(date: str) -> float:
    """Return by how many seconds this machine's clock is ahead of a ``Date:``; 0: it says none."""
    try:
        then = parsedate_to_datetime(date)
    except (ValueError, TypeError, IndexError):
        return 0.0
    then = then if then.tzinfo else then.replace(tzinfo=UTC)
    return (datetime.now(UTC) - then).total_seconds()


def apart(seconds: float) -> str:
    """Return in words that two clocks are so far apart."""
    way = "ahead of" if seconds > 0 else "behind"
    how = f"{_span(abs(seconds))} {way}" if seconds else "too far from"
    return (
        f"this machine's clock is {how} the controller's, and requests are signed by time: set"
        " the one that is wrong"
    )


def _span(seconds: float) -> str:
    for unit, length in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{round(seconds / length)} {unit}"
    return f"{round(seconds)} s"

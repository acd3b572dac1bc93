"""What a node makes of the controller's answers that are none."""

from __future__ import annotations

from typing import Any

from aeros_flower.security.clock_skew import apart, offset
from aeros_flower.security.probe import AWAY, answered

__all__ = ["CLOCK", "KEY", "WHY", "Askew", "Ended", "Lost", "Unwelcome", "refusal"]

WHY = "x-aeros-refused"
"""The header by which the gate says why it answers 401."""

KEY, CLOCK = "key", "clock"
"""What it says there: the key is not admitted; the request was signed at another time."""

AHEAD, BEHIND = 4.0, 290.0
"""Seconds by which a node's clock may be off; Flower allows 5 and 305."""

_OVER = 403
"""The status by which a SuperLink answers a node whose run is over."""

_THERE = 412
"""The status by which it answers one that comes where another with its key is there."""


class Lost(ConnectionError):
    """The SuperLink cannot be reached, or does not know this node any more."""


class Ended(Lost):
    """The SuperLink fails at what it is asked: so it does where its run ends."""


class Askew(Lost):
    """This machine's clock and the controller's differ by more than signatures allow."""


class Unwelcome(Lost):
    """The SuperLink can be reached, and refuses this node or what it brings.

    Args:
        why: In words.
        status: Of HTTP.
        key: Whether the gate says that the node's key is not admitted: nothing else that
            answers at the address, such as a proxy, says so.
    """

    def __init__(self, why: str, status: int, *, key: bool = False) -> None:
        super().__init__(why)
        self.status, self.key = status, key


def refusal(response: Any, method: str) -> Lost:
    """Return what an answer of HTTP means that is an error.

    Args:
        response: The answer (`httpx.Response`).
        method: What was asked.
    """
    status, headers = response.status_code, response.headers
    if status in (401, _OVER):
        said = headers.get(WHY, "")
        off = offset(headers.get("date", ""))
        if status == 401 and (said == CLOCK or (said != KEY and not -BEHIND < off < AHEAD)):
            return Askew(apart(off))
        if _is_page(headers):
            return Lost(f"a proxy answers {status} to {method} in the controller's place")
        return Unwelcome(answered(status, method), status, key=said == KEY)
    if status == _THERE and method == "ActivateNode":
        return Lost(
            "an executor with this key is connected; one that was killed is missed after half a"
            " minute, and two at a time need two keys"
        )
    if status in AWAY and _is_page(headers):
        return Lost(f"a proxy answers {status}: the controller behind it is away")
    return Ended(answered(status, method)) if status == 500 else Lost(answered(status, method))


def _is_page(headers: Any) -> bool:
    """Tell whether an answer is a page for people, which no SuperLink sends."""
    return "html" in headers.get("content-type", "")

"""A method of a gRPC service, and how it answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aeros_serving.calls import Call

__all__ = ["Method"]


@dataclass(frozen=True, slots=True)
class Method:
    """A method of a service: how it reads a message, and one of three ways to answer.

    Args:
        read: Makes a message of bytes.
        now: Called with message and call; it answers the call itself, now or later.
        soon: Awaited with message and call; returns the answer.
        stream: Called with an iterator of messages, and the call; yields answers.
        open: Whether no token is asked for.
    """

    read: Callable[[bytes], Any]
    now: Callable[[Any, Call], None] | None = None
    soon: Callable[[Any, Call], Awaitable[Any]] | None = None
    stream: Callable[[AsyncIterator[Any], Call], AsyncIterator[Any]] | None = None
    open: bool = False

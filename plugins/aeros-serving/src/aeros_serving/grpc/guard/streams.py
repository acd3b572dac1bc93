"""The calls of a connection that have not ended, and what has come of their messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from aeros_serving.protocol.buffer_budget import BufferBudget

__all__ = ["Connection", "Message", "Streams"]


class Connection(Protocol):
    """The connection of a client."""

    def cut(self, why: str) -> None:
        """Close the connection, and send the reason."""


class Calls(Protocol):
    """The calls of all connections that have not reached a handler."""

    @property
    def full(self) -> bool:
        """Whether no further call may be passed on for now."""

    def begin(self) -> None:
        """Note that a call is passed on."""


class Message:
    """The message that a stream brings, as far as it has come.

    Args:
        owner: The connection, which is closed if there is no room for its messages.
    """

    __slots__ = ("held", "left", "owner", "prefix", "refused")

    def __init__(self, owner: Connection) -> None:
        self.owner, self.prefix, self.left, self.held = owner, b"", 0, 0
        self.refused = False  # it is too long, so grpc-core keeps none of it

    @property
    def complete(self) -> bool:
        """Whether nothing of a message is missing."""
        return not self.left and not self.prefix

    def evict(self, why: str) -> None:
        """Close the connection."""
        self.owner.cut(why)


@dataclass(slots=True)
class Streams:
    """The calls of a connection that have not ended, as both its directions see them.

    Args:
        budget: Bound of the bytes of unfinished messages, of all connections.
        calls: Bound of the calls that have not reached a handler, of all connections.
        messages: By stream, what it is bringing; None: the client has ended its side.
        last: Highest number of a stream.
        weight: How much the client has sent that advances no call.
    """

    budget: BufferBudget
    calls: Calls
    messages: dict[int, Message | None]
    last: int = 0
    weight: float = 0.0

    def end(self, stream: int) -> bool:
        """Forget a call; return whether it was there."""
        if stream not in self.messages:
            return False
        self.release(self.messages.pop(stream))
        return True

    def release(self, message: Message | None) -> None:
        """Hold nothing of a message any more."""
        if message is not None and message.held:
            message.held = 0
            self.budget.hold(message, 0)

    def close(self) -> None:
        """Forget all calls."""
        for stream in list(self.messages):
            self.end(stream)

"""The way back to a client of HTTP/2: frames that are whole, within what it takes."""

from __future__ import annotations

import asyncio

from aeros_serving.calm import Calm
from aeros_serving.credit import WINDOW
from aeros_serving.frames import ACK, Code, Kind, frame, settings
from aeros_serving.limits import HEAD
from aeros_serving.peer import INITIAL_WINDOW, MAX_FRAME, PIECE, Peer

__all__ = ["STREAMS", "Line"]

STREAMS = 256
"""Requests of a client that are answered at a time; more it is told to hold back."""

_MAX_STREAMS, _MAX_LIST = 0x3, 0x6

_HELLO = settings(
    {_MAX_STREAMS: STREAMS, INITIAL_WINDOW: WINDOW, MAX_FRAME: PIECE, _MAX_LIST: HEAD}
)


class Line:
    """What is said to a client.

    Args:
        transport: Where it goes.
        calm: Told of content that is sent.

    Attributes:
        peer: What the client has said that it takes.
        window: Bytes of content that it takes now, of all answers together.
        full: Whether it does not read what was sent.
    """

    def __init__(self, transport: asyncio.Transport, calm: Calm) -> None:
        self._transport, self._calm = transport, calm
        self.peer = Peer()
        self.window = 2**16 - 1
        self.full = False

    @property
    def piece(self) -> int:
        """Bytes of content in a frame, at most."""
        return self.peer.piece

    def write(self, data: bytes, size: int = 0) -> None:
        """Send bytes that are whole frames, and of which so many are content."""
        self._transport.write(data)
        if size:
            self.window -= size
            self._calm.earn()

    def greet(self) -> None:
        """Say what this side takes."""
        more = (WINDOW - (2**16 - 1)).to_bytes(4, "big")
        self.write(_HELLO + frame(Kind.WINDOW_UPDATE, 0, 0, more))

    def more(self, stream: int, size: int) -> None:
        """Let the client send more of a request, or with 0 of all."""
        if size:
            self.write(frame(Kind.WINDOW_UPDATE, 0, stream, size.to_bytes(4, "big")))

    def confirm(self, kind: Kind, body: bytes = b"") -> None:
        """Answer SETTINGS or PING."""
        self.write(frame(kind, ACK, 0, body))

    def reset(self, stream: int, code: Code) -> None:
        """End a stream before its time."""
        self.write(frame(Kind.RST_STREAM, 0, stream, code.to_bytes(4, "big")))

    def leave(self, last: int, code: Code, text: str) -> None:
        """Say that no request after the last is answered, and why."""
        body = last.to_bytes(4, "big") + code.to_bytes(4, "big") + text.encode()
        self.write(frame(Kind.GOAWAY, 0, 0, body))

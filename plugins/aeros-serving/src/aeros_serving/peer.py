"""What a client of HTTP/2 takes."""

from __future__ import annotations

from aeros_serving.frames import LARGEST, Code, Fault

__all__ = ["FRAME", "INITIAL_WINDOW", "MAX_FRAME", "PIECE", "Peer"]

FRAME = 2**14
"""Bytes of content that every peer takes in a frame."""

PIECE = 2**16
"""Bytes of a frame that is taken, and sent where the client takes it."""

INITIAL_WINDOW, MAX_FRAME = 0x4, 0x5
"""Identifiers of settings."""


class Peer:
    """What a client has said that it takes (SETTINGS; RFC 9113, section 6.5.2).

    Attributes:
        initial: Bytes of an answer that may be sent before it asks for more.
        piece: Bytes of content in a frame.
    """

    def __init__(self) -> None:
        self.initial, self.piece = 2**16 - 1, FRAME

    def take(self, body: bytes) -> int:
        """Take up what a frame says, and return by how much `initial` grew.

        Raises:
            Fault: A value cannot be.
        """
        before = self.initial
        for place in range(0, len(body), 6):
            key = int.from_bytes(body[place : place + 2], "big")
            value = int.from_bytes(body[place + 2 : place + 6], "big")
            if key == INITIAL_WINDOW:
                if value > LARGEST:
                    raise Fault(Code.FLOW_CONTROL_ERROR, "a window beyond 2^31 - 1")
                self.initial = value
            elif key == MAX_FRAME:
                if not FRAME <= value < 2**24:
                    raise Fault(Code.PROTOCOL_ERROR, f"frames of {value} bytes")
                self.piece = min(value, PIECE)
        return self.initial - before

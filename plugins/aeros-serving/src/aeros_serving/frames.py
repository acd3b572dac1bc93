"""Frames of HTTP/2 (RFC 9113, sections 4, 6 and 7)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum

__all__ = [
    "ACK",
    "END_HEADERS",
    "END_STREAM",
    "LARGEST",
    "PREFACE",
    "Code",
    "Fault",
    "Kind",
    "Reader",
    "frame",
    "number",
    "settings",
    "unpadded",
]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

ACK, END_STREAM, END_HEADERS, PADDED, PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20

_HEAD = struct.Struct(">HBBBL").pack

LARGEST = 2**31 - 1
"""Greatest window, and greatest number of a stream."""


class Kind(IntEnum):
    """Kinds of frames (section 6)."""

    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RST_STREAM = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GOAWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Code(IntEnum):
    """Why a stream or a connection ends (section 7)."""

    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    INTERNAL_ERROR = 2
    FLOW_CONTROL_ERROR = 3
    SETTINGS_TIMEOUT = 4
    STREAM_CLOSED = 5
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class Fault(Exception):
    """What a client did that its connection does not outlive.

    Args:
        code: What it is.
        text: In words.
    """

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def frame(kind: Kind, flags: int, stream: int, body: bytes = b"") -> bytes:
    """Return a frame as bytes."""
    size = len(body)
    return _HEAD(size >> 8, size & 255, kind, flags, stream) + body


def settings(values: dict[int, int]) -> bytes:
    """Return a SETTINGS frame of these values by identifier."""
    pairs = (k.to_bytes(2, "big") + v.to_bytes(4, "big") for k, v in values.items())
    return frame(Kind.SETTINGS, 0, 0, b"".join(pairs))


def number(body: bytes) -> int:
    """Return the 31 bits that a frame's body begins with."""
    if len(body) < 4:
        raise Fault(Code.FRAME_SIZE_ERROR, "a frame is too short")
    return int.from_bytes(body[:4], "big") & LARGEST


def unpadded(kind: Kind, flags: int, body: bytes) -> bytes:
    """Return what a DATA or HEADERS frame carries, without padding and priority.

    Raises:
        Fault: The padding is as long as the frame, or the frame is too short.
    """
    start, end = 0, len(body)
    if flags & PADDED:
        if not body:
            raise Fault(Code.FRAME_SIZE_ERROR, "a padded frame is empty")
        start, end = 1, end - body[0]
    if kind is Kind.HEADERS and flags & PRIORITY:
        start += 5
    if start > end:
        raise Fault(Code.PROTOCOL_ERROR, "a frame has more padding than content")
    return body[start:end]


class Reader:
    """Cuts what a client sends into frames.

    Args:
        largest: Bytes of a frame's content, at most.
    """

    def __init__(self, largest: int) -> None:
        self._largest, self._rest, self.begun = largest, b"", False

    def feed(self, data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
        """Yield kind, flags, stream and content of each frame that is whole.

        Raises:
            Fault: It is not HTTP/2, or a frame is too large.
        """
        data, place = self._rest + data if self._rest else data, 0
        self._rest = b""
        if not self.begun:
            if not PREFACE.startswith(data[: len(PREFACE)]):
                raise Fault(Code.PROTOCOL_ERROR, "this port speaks HTTP/2 alone")
            if len(data) < len(PREFACE):
                self._rest = data
                return
            self.begun, place = True, len(PREFACE)
        while len(data) - place >= 9:
            size = data[place] << 16 | data[place + 1] << 8 | data[place + 2]
            if size > self._largest:
                raise Fault(Code.FRAME_SIZE_ERROR, f"a frame of {size} bytes")
            start, after = place + 9, place + 9 + size
            if after > len(data):
                break
            stream = int.from_bytes(data[place + 5 : start], "big") & LARGEST
            yield data[place + 3], data[place + 4], stream, data[start:after]
            place = after
        self._rest = data[place:]

"""The frames that gRPC sends, as far as the guard has to know of them."""

from __future__ import annotations

from aeros_serving.grpc.guard.frames import EARNED, END_STREAM, HEAD, HEADERS, MOST, RESET
from aeros_serving.grpc.guard.streams import Streams

__all__ = ["ServerFrames"]


class ServerFrames:
    """Follows the frames of the server, to know which calls end, and where a frame does.

    Args:
        streams: The calls of the connection.
    """

    def __init__(self, streams: Streams) -> None:
        self._streams = streams
        self._left = 0
        self._begun = b""

    @property
    def between(self) -> bool:
        """Whether all frames that have begun are complete: another may be sent."""
        return not self._left and not self._begun

    def read(self, data: bytes) -> None:
        """Read bytes that the server sends."""
        streams, at = self._streams, self._left
        if self._begun:
            data, self._begun = self._begun + data, b""
        end, count = len(data), 0
        while end - at >= HEAD:
            kind = data[at + 3]
            if kind == RESET or (kind == HEADERS and data[at + 4] & END_STREAM):
                streams.end(int.from_bytes(data[at + 5 : at + 9]) & 0x7FFFFFFF)
            at += HEAD + ((data[at] << 16) | (data[at + 1] << 8) | data[at + 2])
            count += 1
        if at < end:
            self._begun = data[at:]
            at = end
        self._left = at - end
        streams.weight = max(-MOST, streams.weight - EARNED * count)

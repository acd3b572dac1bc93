"""The headers of HTTP/2 frames (RFC 9113, section 4.1), as far as a guard has to read them.

Nine bytes of each frame are read, and the five bytes before each gRPC message; header blocks are
not. What a client sends costs units, so that connections take turns, and what advances no call is
weighed, so that a flood is noticed.
"""

from __future__ import annotations

import time

from aeros_serving.grpc.guard.streams import Connection, Message, Streams

__all__ = ["PREFACE", "ClientFrames", "Flooded", "goaway"]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

DATA, HEADERS, RESET, SETTINGS, PING, GOAWAY, CONTINUATION = 0, 1, 3, 4, 6, 7, 9
ACK = END_STREAM = 1
END_HEADERS, PADDED = 4, 8

ENHANCE_YOUR_CALM = 11
"""Error code of a connection that is closed for flooding (RFC 9113, section 7)."""

HEAD, PREFIX = 9, 5
"""Bytes of a frame's header, and of the prefix of a gRPC message."""

UNITS = {HEADERS: 8, RESET: 8, SETTINGS: 8, PING: 4}
"""What frames cost a server, about, in that of a small DATA frame."""

SMALL = 256
"""Bytes below which a DATA frame that completes no message is weighed."""

WEIGHTS = {RESET: 10, SETTINGS: 40, CONTINUATION: 20}
"""Weights of frames that advance no call; 1 for others."""

LATE = 0.1
"""Weight of a DATA frame for a call that the server has ended: a client may not know yet."""

MOST, DECAY, EARNED = 2000, 500, 4
"""Weight at which a connection is closed; how much of it is forgotten in a second, and for each
frame that the server sends: clients answer these by WINDOW_UPDATE and PING."""

AHEAD = 512
"""Frames that are looked at before their turn, where a connection has to wait."""

SETTINGS_BYTES = 6 * 32
"""Bytes of a SETTINGS frame: this version of the protocol knows six settings of six bytes."""

BLOCK_BYTES = 64 * 2**10
"""Bytes of the headers of a call, compressed: grpc-core refuses more than 16 KiB decompressed."""

STREAMS = 1000
"""Calls of one connection that have not ended; grpc-core takes 100."""


class Flooded(Exception):
    """A connection sends what no client needs to send."""


def goaway(last: int, why: str) -> bytes:
    """Return a GOAWAY frame.

    Args:
        last: Number of the last stream that was begun.
        why: The reason, for the client's log.
    """
    payload = last.to_bytes(4) + ENHANCE_YOUR_CALM.to_bytes(4) + why.encode()
    return len(payload).to_bytes(3) + bytes((GOAWAY, 0)) + bytes(4) + payload


class ClientFrames:
    """Reads the frames of a client, behind the preface.

    Args:
        streams: The calls of the connection.
        owner: The connection.
        longest: Bytes of the longest message that gRPC takes.
    """

    def __init__(self, streams: Streams, owner: Connection, longest: int) -> None:
        self._streams, self._owner, self._longest = streams, owner, longest
        self._kind = self._flags = self._stream = 0
        self._left = self._length = self._pad = self._block = 0
        self._since = time.monotonic()

    def read(self, data: bytes, at: int, units: int) -> tuple[int, int]:
        """Read frames, as far as the units go.

        Args:
            data: Bytes of the client.
            at: Index of the first that was not read.
            units: What may be spent.

        Returns:
            The index behind the last byte that was read, and the units that are left. What is
            not read is the beginning of a frame's header, or a call that has to wait.

        Raises:
            Flooded: The connection is to be closed.
        """
        end = len(data)
        while units > 0:
            if not self._left:
                if end - at < HEAD or (data[at + 3] == HEADERS and self._streams.calls.full):
                    break
                units -= self._begin(data, at)
                at += HEAD
            if self._left:
                stop = min(at + self._left, end)
                if self._kind == DATA:
                    at, units = self._content(data, at, stop, units)
                else:
                    self._left -= stop - at
                    at = stop
                if self._left:
                    if at < end and units > 0:
                        continue
                    break
            if self._kind == DATA:
                self._end_data()
        return at, units

    def _begin(self, data: bytes, at: int) -> int:
        """Take the header of a frame; return what it costs."""
        length = (data[at] << 16) | (data[at + 1] << 8) | data[at + 2]
        kind, flags = data[at + 3], data[at + 4]
        stream = int.from_bytes(data[at + 5 : at + 9]) & 0x7FFFFFFF
        self._kind, self._flags, self._stream = kind, flags, stream
        self._left = self._length = length
        if kind == DATA:
            self._pad = -1 if flags & PADDED else 0
            return 1
        if kind == HEADERS:
            self._open(stream, flags, length)
            self._end_headers(flags)
        elif kind == CONTINUATION:
            self._block += length
            if self._block > BLOCK_BYTES:
                raise Flooded(f"the headers of a call exceed {BLOCK_BYTES} bytes")
            self._weigh(1 if length > SMALL else WEIGHTS[CONTINUATION])
            self._end_headers(flags)
        elif kind == SETTINGS:
            if length > SETTINGS_BYTES:
                raise Flooded(f"a SETTINGS frame exceeds {SETTINGS_BYTES} bytes")
            self._weigh(1 if flags & ACK else WEIGHTS[SETTINGS])
        elif kind == RESET:
            self._weigh(WEIGHTS[RESET] if self._streams.end(stream) else 1)
        else:
            self._weigh(1)
        return UNITS.get(kind, 1)

    def _open(self, stream: int, flags: int, length: int) -> None:
        streams = self._streams
        self._block = length
        if length > BLOCK_BYTES:
            raise Flooded(f"the headers of a call exceed {BLOCK_BYTES} bytes")
        if stream <= streams.last:
            self._weigh(WEIGHTS[RESET])  # gRPC has no trailers of clients
            return
        if len(streams.messages) >= STREAMS:
            raise Flooded(f"more than {STREAMS} calls at the same time")
        streams.last = stream
        streams.messages[stream] = None if flags & END_STREAM else Message(self._owner)

    def _end_headers(self, flags: int) -> None:
        if flags & END_HEADERS:
            self._streams.calls.begin()

    def foresee(self, data: bytes, at: int) -> None:
        """Look for calls that are begun and reset, in what waits to be read.

        Args:
            data: Bytes of the client.
            at: Index of the first byte that was not read.

        Raises:
            Flooded: There are too many.
        """
        at += self._left
        end, resets = len(data), 0
        for _ in range(AHEAD):
            if end - at < HEAD:
                break
            resets += data[at + 3] == RESET
            at += HEAD + ((data[at] << 16) | (data[at + 1] << 8) | data[at + 2])
        if resets * WEIGHTS[RESET] > MOST:
            raise Flooded("too many calls that are reset at once")

    def _content(self, data: bytes, at: int, stop: int, units: int) -> tuple[int, int]:
        """Read what a DATA frame holds up to `stop`; return index and units as `read` does."""
        if self._pad < 0:
            self._pad = data[at]
            self._left -= 1
            at += 1
        message = self._streams.messages.get(self._stream)
        if message is None or (self._flags & END_STREAM and stop - at == self._left):
            self._left -= stop - at
            return stop, units
        behind = min(stop, at + max(0, self._left - self._pad))
        while at < behind and units > 0:
            step = min(behind - at, message.left or PREFIX - len(message.prefix))
            if message.left:
                message.left -= step
            else:
                units -= 1
                message.prefix += data[at : at + step]
                if len(message.prefix) == PREFIX:
                    message.left = int.from_bytes(message.prefix[1:])
                    message.prefix = b""
                    message.refused = message.left > self._longest
            kept = not message.complete and not message.refused
            message.held = message.held + step if kept else 0
            at += step
            self._left -= step
        if at == behind:  # what is left up to `stop` is padding
            self._left -= stop - at
            at = stop
        self._hold(message)
        return at, units

    def _hold(self, message: Message) -> None:
        self._streams.budget.hold(message, message.held)

    def _end_data(self) -> None:
        """Weigh a DATA frame that has come whole."""
        streams, stream = self._streams, self._stream
        message = streams.messages.get(stream)
        if message is not None and self._flags & END_STREAM:
            streams.release(message)
            streams.messages[stream] = None
            return
        content = self._length - max(0, self._pad)
        if content < SMALL and (message is None or content <= 1 or not message.complete):
            self._weigh(1 if stream in streams.messages else LATE)

    def _weigh(self, weight: float) -> None:
        streams = self._streams
        streams.weight += weight
        if streams.weight > MOST:
            now = time.monotonic()
            streams.weight = max(0.0, streams.weight - DECAY * (now - self._since))
            self._since = now
            if streams.weight > MOST:
                raise Flooded("too many frames that advance no call")

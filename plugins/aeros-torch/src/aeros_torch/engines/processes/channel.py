"""Messages between processes: JSON, bytes behind it, and open files."""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Channel"]

_HEAD = struct.Struct("!IQB")
"""Length of the JSON, length of the bytes, number of files."""

_FILES = 4


class Channel:
    """One end of a pair of sockets on this machine.

    Nothing that is received is run: a message is plain data (no pickle).

    Args:
        end: A connected stream socket of the family AF_UNIX; it belongs to the wire.
    """

    def __init__(self, end: socket.socket):
        self._end = end

    @classmethod
    def pair(cls) -> tuple[Channel, socket.socket]:
        """Return one end as a wire, and the other as a socket to hand on."""
        here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return cls(here), there

    def limit(self, seconds: float) -> None:
        """Have this end wait no longer than this for the other one to read, or to speak on."""
        self._end.settimeout(seconds)

    def fileno(self) -> int:
        """Return the number of the file to wait on."""
        return self._end.fileno()

    def send(self, told: Mapping[str, Any], more: bytes = b"", files: Sequence[int] = ()) -> None:
        """Send a message; waits while the other end does not read.

        Args:
            told: What to say, as JSON can.
            more: Bytes that go with it.
            files: Open files, at most four, that the other end opens too.

        Raises:
            OSError: The other end is closed.
        """
        text = json.dumps(told).encode()
        head = _HEAD.pack(len(text), len(more), len(files))
        if files:
            socket.send_fds(self._end, [head], list(files))
            head = b""
        self._end.sendall(head + text)
        if more:
            self._end.sendall(more)

    def receive(self) -> tuple[dict[str, Any], bytes, list[int]]:
        """Return the next message, its bytes and its files; waits for it.

        Raises:
            EOFError: The other end is closed.
            OSError: The connection is broken.
        """
        head, files, _, _ = socket.recv_fds(self._end, _HEAD.size, _FILES)
        if not head:
            raise EOFError
        head += self._exactly(_HEAD.size - len(head))
        text, more, _ = _HEAD.unpack(head)
        told: dict[str, Any] = json.loads(self._exactly(text))
        return told, self._exactly(more), list(files)

    def _exactly(self, length: int) -> bytes:
        parts = []
        while length:
            part = self._end.recv(min(length, 2**20))
            if not part:
                raise EOFError
            parts.append(part)
            length -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close this end; the other one notices."""
        self._end.close()

"""Messages with open files, over one end of a pair of sockets."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections import deque
from collections.abc import Sequence
from typing import Protocol

__all__ = ["Connection", "OpenFile"]

_HEAD = struct.Struct("!IB")
"""Before each message: its length in bytes, and the number of files that come with it."""

_MOST_FILES, _READ = 8, 2**18
"""Files of one message, and bytes that are read at a time."""


class OpenFile(Protocol):
    """An open file, which stays open at least until it is sent."""

    def fileno(self) -> int:
        """Return its descriptor."""


class Connection:
    """One end of a pair of stream sockets (AF_UNIX), in the running event loop.

    Files are passed as descriptors (SCM_RIGHTS), which asyncio's streams cannot do.

    Args:
        sock: This end; closed with the connection.
    """

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._loop = asyncio.get_running_loop()
        self._received = bytearray()
        self._files: deque[int] = deque()
        self._unsent: deque[tuple[memoryview, Sequence[OpenFile]]] = deque()
        self._waiting: asyncio.Future[None] | None = None
        self._closed = False

    async def receive(self) -> tuple[bytes, list[int]]:
        """Return the next message and its files, which the caller has to close.

        Raises:
            EOFError: Either end is closed.
        """
        length, files = _HEAD.unpack(await self._take(_HEAD.size))
        message = await self._take(length)
        return message, [self._files.popleft() for _ in range(files)]

    async def _take(self, length: int) -> bytes:
        while len(self._received) < length:
            await self._read()
        taken = bytes(memoryview(self._received)[:length])
        del self._received[:length]
        return taken

    async def _read(self) -> None:
        if self._closed:
            raise EOFError
        try:
            flags = socket.MSG_CMSG_CLOEXEC
            data, files, _, _ = socket.recv_fds(self._socket, _READ, _MOST_FILES, flags)
        except BlockingIOError:
            await self._readable()
            return
        except OSError as error:
            raise EOFError from error
        self._files.extend(files)
        if not data:
            raise EOFError
        self._received += data

    async def _readable(self) -> None:
        """Wait until there is something to read, or the connection is closed."""
        self._waiting = self._loop.create_future()
        self._loop.add_reader(self._socket.fileno(), self._wake)
        try:
            await self._waiting
        finally:
            if not self._closed:
                self._loop.remove_reader(self._socket.fileno())

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    def send(self, message: bytes, files: Sequence[OpenFile] = ()) -> None:
        """Send a message now, or as soon as the other end has read those before."""
        if not self._closed:
            head = _HEAD.pack(len(message), len(files))
            self._unsent.append((memoryview(head + message), files))
            if len(self._unsent) == 1:
                self._send()

    def _send(self) -> None:
        descriptor = self._socket.fileno()
        try:
            while self._unsent:
                data, files = self._unsent[0]
                # The files travel with the first byte.
                sent = socket.send_fds(self._socket, [data], [file.fileno() for file in files])
                self._unsent[0] = data[sent:], ()
                if sent == len(data):
                    self._unsent.popleft()
        except BlockingIOError:
            self._loop.add_writer(descriptor, self._send)
            return
        except OSError:  # the other end has gone, which `receive` finds out too
            self._unsent.clear()
        self._loop.remove_writer(descriptor)

    def close(self) -> None:
        """Close this end, and files that came and were not taken."""
        if self._closed:
            return
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._closed = True
        self._wake()
        self._socket.close()
        self._unsent.clear()
        while self._files:
            os.close(self._files.popleft())

"""A port that several processes listen on, held by the supervisor, which does not listen.

Connections to a port with SO_REUSEPORT are spread over the sockets that listen there. Linux lets
only sockets of the same user join; as the supervisor's stays bound until the end, no other user
takes the port while workers are replaced. That holds for sockets that are bound without
SO_REUSEADDR: two that have it may share a port, whoever's they are, as long as none listens.
"""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from aeros_core.errors import ConfigError

__all__ = ["SharedPort", "check_platform"]


def check_platform(workers: int) -> None:
    """Refuse several workers where the kernel does not spread connections over them.

    Raises:
        ConfigError: This is not Linux.
    """
    if workers > 1 and sys.platform != "linux":
        raise ConfigError(
            f"serving.workers={workers} needs Linux, which spreads the connections to one port"
            f" over several processes; this is {sys.platform}",
            exists="serving.workers=1",
        )


class SharedPort:
    """Holds a port for the sockets of other processes of this user.

    Args:
        host: Address or name.
        port: 0: any that is free.

    Attributes:
        port: The port.

    Raises:
        OSError: The port is taken, or the address is not of this machine.
    """

    def __init__(self, host: str, port: int) -> None:
        self._host, self.port = host, port
        self._held: list[socket.socket] = []
        self._open: list[tuple[int, tuple[Any, ...]]] = []
        try:
            if port:
                self._check()
            for family, address in _addresses(host, port):
                # Connections of a server that did not share its port stay for a minute; beside
                # them only sockets with SO_REUSEADDR are bound, or such as follow one.
                self._held.append(self._bound(family, address, reuse=True))
                self.port = self._held[-1].getsockname()[1]
                self._open.append((family, address))
            self.tighten()
        except BaseException:
            self.close()
            raise

    def _bound(self, family: int, address: tuple[Any, ...], reuse: bool = False) -> socket.socket:
        made = _socket(family, reuse)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            made.bind((address[0], self.port, *address[2:]))
        except BaseException:
            made.close()
            raise
        return made

    def tighten(self) -> bool:
        """Hold the port against other users too; return whether that succeeds by now."""
        for each in list(self._open):
            with suppress(OSError):
                self._held.append(self._bound(*each))
                self._open.remove(each)
        return not self._open

    def _check(self) -> None:
        """Check that no other server has the port; one of this user might share it.

        Raises:
            OSError: One has.
        """
        for family, address in _addresses(self._host, self.port):
            with _socket(family, reuse=True) as alone:
                alone.bind((address[0], self.port, *address[2:]))

    def close(self) -> None:
        """Give the port up."""
        for each in self._held:
            each.close()


def _addresses(host: str, port: int) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield families and addresses of a name, those that this machine has."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    usable = []
    for family, _, _, _, address in dict.fromkeys(found):
        with _socket(family) as probe:
            try:
                probe.bind((address[0], 0, *address[2:]))
            except OSError as error:
                if error.errno != errno.EADDRNOTAVAIL or len(found) == 1:
                    raise
                continue
        usable.append((int(family), address))
    yield from usable


def _socket(family: int, reuse: bool = False) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made

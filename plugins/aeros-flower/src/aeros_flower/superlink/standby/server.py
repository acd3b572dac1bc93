"""A controller's SuperLink that stands by between runs.

It is the program ``python -m aeros_flower.superlink.standby.server PORT``.

`aeros up` starts it in a folder that is its user's alone. It listens at a port of this machine
for executors, behind the same gate as a run's own, and at a socket in that folder for the
`aeros run` that drives the rounds: one at a time. Where rounds are, and what is committed of
them, is the run's matter; of a run that ends, however it does, nothing stays here.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
import threading
from importlib.metadata import version
from typing import Any

from aeros_core.errors import AerosError
from aeros_flower.http.access_control import AccessControl, App
from aeros_flower.http.server import listen
from aeros_flower.superlink.embedded import EmbeddedSuperLink
from aeros_flower.superlink.grid_bridge import follow, receive, send
from aeros_flower.system.network import READY, say

__all__ = ["BUSY", "DOOR", "is_mine", "stand", "versions"]

DOOR = "line"
"""The socket's name."""

BUSY = "busy"

_SPEAKS = 30.0
"""Seconds that who has come may take to say what it wants."""

_PEER = struct.Struct("3i")


def versions() -> dict[str, str]:
    """Return what has to be the same on both sides of the socket."""
    return {name: version(name) for name in ("aeros-flower", "flwr")}


def is_mine(line: socket.socket) -> bool:
    """Tell whether who is at the other end of a line is a process of this user's."""
    told = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
    return bool(_PEER.unpack(told)[1] == os.getuid())


def stand(port: int) -> None:
    """Stand by, in this directory, until this process is ended.

    Raises:
        ConfigError: The port is taken, or flwr is another.
    """
    busy = threading.Lock()
    with socket.socket(socket.AF_UNIX) as door:
        link = EmbeddedSuperLink(listen("127.0.0.1", port), None, _guarded)
        door.bind(DOOR)
        door.listen()
        say(f"the controller at {link.address} {READY}")
        while True:
            line, _ = door.accept()
            threading.Thread(target=_attend, args=(line, link, busy), daemon=True).start()


def _guarded(app: App) -> App:
    return AccessControl(app)


def _attend(line: socket.socket, link: EmbeddedSuperLink, busy: threading.Lock) -> None:
    """Do what a run asks until it has ended, then forget it."""
    with line:
        line.settimeout(_SPEAKS)
        try:
            if not is_mine(line) or (asked := receive(line)) is None:
                return
        except OSError:
            return
        line.settimeout(None)  # a run may think for as long as it likes, and its end is heard
        told, blocks = asked
        if refusal := _refused(told, busy):
            send(line, refusal)
            return
        try:
            if blocks:
                link.renew(blocks[0])
            send(line, {})
            follow(line, link)
        except OSError as error:  # it was killed in the middle of a word
            say(f"a run has gone: {error}")
        finally:
            link.renew()
            busy.release()


def _refused(told: dict[str, Any], busy: threading.Lock) -> dict[str, Any]:
    """Return why a run cannot begin; empty where it can, and is the one that does."""
    if told.get("versions") != versions():
        return {"versions": versions()}
    return {} if busy.acquire(blocking=False) else {BUSY: True}


def main() -> int:
    """Stand by; return a status of the process."""
    try:
        stand(int(sys.argv[1]))
    except AerosError as error:
        say(str(error))
    return 2


if __name__ == "__main__":
    sys.exit(main())

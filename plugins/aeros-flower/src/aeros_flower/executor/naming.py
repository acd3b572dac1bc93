"""What an executor is called that was given no name: its machine's, with a number beside others."""

from __future__ import annotations

import errno
import hashlib
import platform
import socket

from aeros_core.errors import ConfigError

__all__ = ["given"]

_HELD: list[int] = []
"""Open files that say, for as long as this process lives, which names it has."""


def given(address: str, *, own: bool) -> str:
    """Return a name that no other executor of this machine has at a controller.

    The first one is called as the machine, the second has ``-2`` behind that, and so on; a
    number is free again once its process has ended, however it did.

    Args:
        address: ``HOST:PORT`` of the controller.
        own: Whether its data are a client's of that name, which has to stay the same.

    Raises:
        ConfigError: Its data are a client's, and another process has the name.
    """
    name, number = platform.node(), 1
    while not _held(f"{address}/{name if number == 1 else f'{name}-{number}'}"):
        if own:
            raise ConfigError(
                f"another executor of this machine is called {name} already",
                exists="data of --own are a client of the executor's name",
                hint="--name NAME, one for each",
            )
        number += 1
    return name if number == 1 else f"{name}-{number}"


def _held(what: str) -> bool:
    """Take a name, as a socket of Linux that is in no folder; tell whether it was free."""
    found = socket.socket(socket.AF_UNIX)
    try:
        found.bind(f"\0aeros-executor-{hashlib.sha256(what.encode()).hexdigest()}")
    except OSError as error:
        found.close()
        return error.errno != errno.EADDRINUSE  # elsewhere than on Linux nobody can tell
    _HELD.append(found.detach())
    return True

"""A run's line to the controller that `aeros up` started, see `standby.server`."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aeros_core.errors import ConfigError
from aeros_core.tasks import waiting
from aeros_flower.superlink.embedded import EmbeddedSuperLink
from aeros_flower.superlink.grid_bridge import GridBridge, receive, send
from aeros_flower.superlink.resilient_session import ResilientSession, Session, SessionLost
from aeros_flower.superlink.standby import server

__all__ = ["standby_session"]

_ANSWERS = 2.0
"""Seconds that the controller that stands by may take to answer who comes."""

_FREED = 3.0
"""Seconds after which a controller that is busy is busy with another run, and not with the
end of the one before."""


def standby_session(
    folder: Path,
    address: str,
    fab: bytes | None,
    embed: Callable[[], EmbeddedSuperLink],
    wait: float,
    tell: Callable[[str], None],
) -> ResilientSession:
    """Return a line over the controller that stands by, or over one within, once that is gone.

    Args:
        folder: Where its socket is.
        address: Where executors find it.
        fab: Bundle of the app that stock SuperNodes run; None: there are only executors.
        embed: Opens a SuperLink at the same address.
        wait: Seconds to wait for either.
        tell: Hears when it is lost and when there is one again.

    Raises:
        ConfigError: It is another run's, another user's, or of another version.
    """

    def begin(before: Session | None) -> Session:  # noqa: ARG001 - it ended with its SuperLink
        try:
            return GridBridge(_admitted(folder, fab))
        except TimeoutError as error:
            raise SessionLost(
                f"the controller of aeros up says nothing for {_ANSWERS:g} s"
            ) from error
        except OSError:
            tell(f"the controller of aeros up has ended; this run listens at {address} itself")
        try:
            return embed()
        except ConfigError as error:
            raise SessionLost(str(error)) from error

    return ResilientSession(address, begin, wait, tell)


def _admitted(folder: Path, fab: bytes | None) -> socket.socket:
    """Return a line at which a run has begun.

    Raises:
        OSError: Nobody is there.
    """
    ends = time.monotonic() + _FREED
    while True:
        line = socket.socket(socket.AF_UNIX)
        try:
            refusal = _asked(line, folder, fab)
        except BaseException:
            line.close()
            raise
        if not refusal:
            return line
        line.close()
        if not refusal.get(server.BUSY) or time.monotonic() > ends:
            raise _error(refusal)
        waiting.check()
        time.sleep(0.1)


def _asked(line: socket.socket, folder: Path, fab: bytes | None) -> dict[str, Any]:
    line.settimeout(_ANSWERS)
    line.connect(str(folder / server.DOOR))
    if not server.is_mine(line):
        raise ConfigError(
            f"who answers at {folder} is another user's process",
            hint="a directory of your own, and aeros up there",
        )
    send(line, {"versions": server.versions()}, [fab] if fab else [])
    answer = receive(line)
    if answer is None:
        raise ConnectionError("it hung up")
    refusal: dict[str, Any] = answer[0]
    return refusal


def _error(refusal: dict[str, Any]) -> ConfigError:
    if refusal.get(server.BUSY):
        return ConfigError(
            "another aeros run is at work on these executors: one task at a time",
            hint="wait until it has ended; or beside it, in another directory,"
            " aeros up --port PORT and aeros run there",
        )
    theirs, ours = refusal.get("versions") or {}, server.versions()
    other = [
        f"{n} {theirs.get(n, 'none')}, here {v}" for n, v in ours.items() if theirs.get(n) != v
    ]
    return ConfigError(
        f"the controller that aeros up started has other versions: {'; '.join(other)}",
        hint="aeros down, then aeros up",
    )

"""Which process listens at a port of this machine, as far as Linux tells its user."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PortOwner", "port_owner"]

_LISTENS = "0A"
_WORDS = 80
"""Letters of a command that are shown, at most."""


@dataclass(frozen=True, slots=True)
class PortOwner:
    """A process that listens.

    Args:
        pid: Its number.
        words: The command that it was started with.
        folder: Its working directory.
    """

    pid: int
    words: tuple[str, ...]
    folder: Path

    def __str__(self) -> str:
        """Return it in words."""
        command = shlex.join(self.words)
        shown = command if len(command) <= _WORDS else f"{command[: _WORDS - 1]}…"
        return f"process {self.pid}: {shown}"


def port_owner(port: int) -> PortOwner | None:
    """Return who listens at a port; None where that cannot be known, as of another user's."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    for process in Path("/proc").glob("[0-9]*") if wanted else ():
        with contextlib.suppress(OSError):
            if wanted & {str(held.readlink()) for held in (process / "fd").iterdir()}:
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                there = (process / "cwd").readlink()
                return PortOwner(int(process.name), tuple(filter(None, words)), there)
    return None


def _inodes(port: int) -> Iterator[str]:
    """Yield the sockets that listen at a port, by number."""
    for table in ("tcp", "tcp6"):
        with contextlib.suppress(OSError):
            for row in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
                fields = row.split()
                if fields[3] == _LISTENS and int(fields[1].rpartition(":")[2], 16) == port:
                    yield fields[9]

"""Which process holds a run: told to others, and whether it still lives where that can be seen."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Container
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

__all__ = ["Holder"]


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a run.

    Args:
        host: Name of its machine.
        pid: Its number there.
        since: When it took the run, ISO 8601 in UTC, by the clock of its machine.
        began: When it began, in clock ticks since its machine did; empty if unknown.
        system: Names the machine since its last start, and the space of its process numbers.
        token: Its own, whatever else is the same.
        released: Whether it has let go.
    """

    host: str
    pid: int
    since: str
    began: str
    system: str
    token: str
    released: bool = False

    @classmethod
    def here(cls) -> Holder:
        """Return this process."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        pid, token = os.getpid(), secrets.token_hex(8)
        return cls(socket.gethostname(), pid, now, _began(pid), _system(), token)

    @classmethod
    def of(cls, data: bytes) -> Holder | None:
        """Read what `dump` wrote; None if it is nothing of the kind."""
        with suppress(ValueError, TypeError, RecursionError):
            holder = cls(**json.loads(data))
            if isinstance(holder.pid, int) and isinstance(holder.host, str):
                return holder
        return None

    def dump(self) -> bytes:
        """Return it as one line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    def gone(self) -> Holder:
        """Return the same, released."""
        return replace(self, released=True)

    @property
    def is_dead(self) -> bool:
        """Whether it has let go, or ran on this machine and is no more."""
        if self.released:
            return True
        here = self.system == _system() and self.host == socket.gethostname() and bool(self.began)
        return here and _began(self.pid) != self.began

    def let_go_here(self, tokens: Container[str]) -> bool:
        """Tell whether this very process was the holder, and holds only these tokens now."""
        mine = self.pid == os.getpid() and self.began == _began(self.pid) and not self.is_dead
        return mine and self.system == _system() and self.token not in tokens

    def __str__(self) -> str:
        """Return it in words."""
        return f"process {self.pid} of {self.host}, since {self.since}"


def _began(pid: int) -> str:
    """Return when a process began, in clock ticks since the machine did; empty if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _system() -> str:
    """Return what no other machine has, nor this one after its next start; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""

"""Description of the process that holds a run, and a test of whether it is still alive."""

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
        pid: Its process ID there.
        since: Time when it locked the run, ISO 8601 in UTC, by the clock of its machine.
        began: Start time of the process in clock ticks since boot; empty if unknown.
        system: Boot ID of the machine and its PID namespace.
        token: Random token, unique to this holder.
        released: Whether the lock was released.
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
        """Return the description of this process."""
        now = datetime.now(UTC).isoformat(timespec="seconds")
        pid, token = os.getpid(), secrets.token_hex(8)
        return cls(socket.gethostname(), pid, now, _began(pid), _system(), token)

    @classmethod
    def of(cls, data: bytes) -> Holder | None:
        """Parse the output of `dump`; return None for any other data."""
        with suppress(ValueError, TypeError, RecursionError):
            holder = cls(**json.loads(data))
            if isinstance(holder.pid, int) and isinstance(holder.host, str):
                return holder
        return None

    def dump(self) -> bytes:
        """Return the description as one line of JSON."""
        return json.dumps(asdict(self)).encode() + b"\n"

    def gone(self) -> Holder:
        """Return a copy marked as released."""
        return replace(self, released=True)

    @property
    def is_dead(self) -> bool:
        """Return whether it released the lock, or ran on this machine and has ended."""
        if self.released:
            return True
        here = self.system == _system() and self.host == socket.gethostname() and bool(self.began)
        return here and _began(self.pid) != self.began

    def let_go_here(self, tokens: Container[str]) -> bool:
        """Return whether this process was the holder, and now holds only other tokens."""
        mine = self.pid == os.getpid() and self.began == _began(self.pid) and not self.is_dead
        return mine and self.system == _system() and self.token not in tokens

    def __str__(self) -> str:
        """Return a description for messages."""
        return f"process {self.pid} of {self.host}, since {self.since}"


def _began(pid: int) -> str:
    """Return the start time of a process in clock ticks since boot; empty if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]


def _system() -> str:
    """Return the boot ID and PID namespace of this machine; empty if unknown."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}:{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:
        return ""

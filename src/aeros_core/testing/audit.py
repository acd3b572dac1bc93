"""What a part opens and connects to while a test watches.

Python says what it opens itself (its audit events); on Linux the kernel says the same of
compiled libraries (inotify).
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

__all__ = ["HOST", "Bait", "bait"]

HOST = "127.83.97.11"
"""An address of this machine that nothing else connects to."""

_OPEN = 0x20
_HEARD: list[list[str]] = []
"""What was heard by whoever listens, innermost last."""


class Bait:
    """A file that nobody has a reason to open, and an address to connect to.

    Args:
        path: The file.
        watch: Number of what watches it; negative where the kernel does not.
        heard: What was opened and connected to since.
    """

    def __init__(self, path: str, watch: int, heard: Sequence[str]) -> None:
        self.path, self._watch, self._heard = path, watch, heard

    @property
    def values(self) -> tuple[str, ...]:
        """What an option may hold to lead there."""
        return (self.path, f"http://{HOST}:9", f"{HOST}:9", HOST)

    def taken(self) -> bool:
        """Tell whether it was opened, or connected to."""
        with suppress(OSError):
            if self._watch >= 0 and os.read(self._watch, 4096):
                return True
        return any(word in text for text in self._heard for word in (self.path, HOST))


@contextmanager
def bait() -> Iterator[Bait]:
    """Lay out a bait, and watch it."""
    _listen()
    with tempfile.TemporaryDirectory(prefix="aeros-bait-") as folder:
        path = Path(folder).resolve() / "bait.csv"
        path.write_text("a,b\n1,2\n", encoding="utf-8")
        watch = _watched(path)
        _HEARD.append([])
        try:
            yield Bait(str(path), watch, _HEARD[-1])
        finally:
            _HEARD.pop()
            if watch >= 0:
                os.close(watch)


def _watched(path: Path) -> int:
    if sys.platform != "linux":
        return -1
    libc = ctypes.CDLL(None)
    number = int(libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC))
    if number >= 0:
        libc.inotify_add_watch(number, os.fsencode(path), _OPEN)
    return number


def _listen() -> None:
    """Hear Python's audit events; a hook stays for good, so there is one."""
    if not getattr(_listen, "on", False):
        sys.addaudithook(_hear)
        _listen.on = True  # type: ignore[attr-defined]


def _hear(event: str, told: tuple[Any, ...]) -> None:
    if not _HEARD or event not in ("open", "socket.connect", "socket.getaddrinfo"):
        return
    with suppress(Exception):
        _HEARD[-1].append(" ".join(map(str, told[1:2] if event == "socket.connect" else told[:1])))

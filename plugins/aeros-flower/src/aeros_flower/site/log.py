"""The log of a site: one line for each decision, and for each thing that left.

Lines of JSON in a file that is only ever appended to; nothing here truncates or rotates it. A
line is one write of the system, so that what was logged survives the end of the process, and
several executors may share the file. What cannot be logged does not leave.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aeros_core.errors import AerosError, ConfigError

__all__ = ["NAME", "LogError", "SiteLog", "read"]

NAME = "site-log.jsonl"
"""The file's name within the state folder."""


class LogError(AerosError):
    """The site's log could not be written, so nothing leaves."""


class SiteLog:
    """Appends lines to the log of a site.

    Args:
        path: The file; made when the first line is written, for its owner's eyes alone.
        always: What every line holds.
    """

    def __init__(self, path: Path, **always: Any) -> None:
        self.path, self._always = path, always
        self._file: int | None = None

    def write(self, event: str, **facts: Any) -> None:
        """Append one line.

        Args:
            event: What happened, as ``refused`` or ``sent``.
            facts: What is known of it; None is left out.

        Raises:
            LogError: It was not written whole.
        """
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        told = {"time": now, "event": event, **self._always, **facts}
        line = json.dumps({k: v for k, v in told.items() if v is not None}, default=str)
        try:
            self._append(line.encode() + b"\n")
        except OSError as error:
            raise LogError(
                f"the log {self.path} was not written: {error.strerror or error}",
                hint="free the disk, or name another file: log: FILE in the policy",
            ) from error

    def open(self) -> None:
        """Make sure that the file is there and can be written.

        Raises:
            ConfigError: It is not a file of this user's alone.
            LogError: It was not made.
        """
        try:
            self._descriptor()
        except OSError as error:
            raise LogError(
                f"the log {self.path} was not made: {error.strerror or error}",
                hint="another file: log: FILE in the policy, or --state DIR",
            ) from error

    def _append(self, line: bytes) -> None:
        file = self._descriptor()
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            if _torn(file):  # a write that a full disk cut short; its piece stays what it is
                line = b"\n" + line
            if (done := os.write(file, line)) != len(line):
                raise OSError(f"{done} of {len(line)} bytes were written")
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)

    def _descriptor(self) -> int:
        """Return the opened file; anew where another one has its name by now."""
        if self._file is not None:
            with suppress(OSError):
                if os.path.samestat(os.fstat(self._file), os.lstat(self.path)):
                    return self._file
            os.close(self._file)
            self._file = None
        self.path.parent.mkdir(parents=True, exist_ok=True)
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        file = os.open(self.path, flags, 0o600)
        try:
            _check(self.path, os.fstat(file))
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return file


def _check(path: Path, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"the log {path} must be a regular file", hint="log: FILE in the policy")
    if found.st_uid != os.getuid():
        raise ConfigError(
            f"the log {path} belongs to another user (uid {found.st_uid})",
            hint="log: FILE in the policy, or --state DIR",
        )
    if found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"others may read or write the log {path}", hint=f"chmod 600 {path}")


def _torn(file: int) -> bool:
    size = os.fstat(file).st_size
    return size > 0 and os.pread(file, 1, size - 1) != b"\n"


def read(path: Path) -> Iterator[Mapping[str, Any] | None]:
    """Yield each line; None for one that is not whole, as a full disk or a crash leaves it.

    Raises:
        ConfigError: There is no log, or it cannot be read by this user.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise ConfigError(
            f"the log {path} was not read: {error.strerror}",
            hint="aeros executor --log --state DIR, the state folder of the executor",
        ) from error
    with file:
        for line in file:
            if line.strip():
                yield _parsed(line)


def _parsed(line: bytes) -> Mapping[str, Any] | None:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return told if isinstance(told, dict) and line.endswith(b"\n") else None

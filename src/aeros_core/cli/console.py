"""Keep a process going whose terminal, pipe or disk takes no more of what it says.

A run of days must not end because somebody closed the pipe that showed its progress, or
because the disk that its output goes to is full: what it says is lost, what it does is not.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

__all__ = ["ResilientStream", "occupy", "released", "resilient_output"]


def occupy() -> None:
    """Put the null device where a standard stream is closed (``>&-``).

    Otherwise the next file that is opened would take its number, and whatever a library
    prints would be written into it.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def released(stream: TextIO) -> None:
    """Let a stream that takes no more lead to the null device, so that its rest goes there."""
    with suppress(OSError, ValueError):
        number, null = stream.fileno(), os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, number)
        os.close(null)
        stream.flush()


class ResilientStream:
    """A text stream that never fails: once it takes no more, what is written is dropped.

    Args:
        stream: The stream.
        name: What it is called in the message.
        other: Where its loss is said; not for a closed pipe, which somebody meant.
    """

    def __init__(self, stream: TextIO, name: str, other: TextIO) -> None:
        self._stream, self._name, self._other = stream, name, other

    def __getattr__(self, attribute: str) -> Any:
        """Return what the stream itself has."""
        return getattr(self._stream, attribute)

    def write(self, text: str) -> int:
        """Write a text, or drop it."""
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:  # a terminal that has not all signs
            plain = text.encode("ascii", "backslashreplace").decode()
            return self.write(plain) if plain != text else len(text)
        except (OSError, ValueError) as error:
            self._lose(error)
            return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write texts one behind the other, or drop them."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Pass on what was written, or drop it."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._lose(error)

    def _lose(self, error: Exception) -> None:
        released(self._stream)
        if isinstance(error, OSError) and error.errno not in (errno.EPIPE, errno.EIO):
            with suppress(OSError, ValueError):
                self._other.write(
                    f"aeros: {self._name} takes no more ({error.strerror}); what is said from now"
                    " on is lost, the work goes on\n"
                )
                self._other.flush()


@contextmanager
def resilient_output() -> Iterator[None]:
    """Let standard output and error endure whatever becomes of them, while the context lasts."""
    before = sys.stdout, sys.stderr
    out, err = before
    sys.stdout = cast("TextIO", ResilientStream(out, "standard output", err))
    sys.stderr = cast("TextIO", ResilientStream(err, "standard error", out))
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError):
                stream.flush()
        sys.stdout, sys.stderr = before

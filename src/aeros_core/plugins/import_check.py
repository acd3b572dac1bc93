"""Import a plugin's module, and notice what it does to the process on the way."""

from __future__ import annotations

import io
import locale
import os
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from typing import Any, Protocol

__all__ = ["ProcessChange", "load"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE, signal.SIGCHLD)
_met: dict[tuple[str, str], str] = {}
"""What modules did when they were first imported: a second import shows nothing."""


class ProcessChange(Exception):
    """A module did something to the process that importing it should not do."""


class Importable(Protocol):
    """An entry point, or a file with the same attributes."""

    @property
    def name(self) -> str:
        """Name of the plugin."""

    @property
    def value(self) -> str:
        """What is imported."""

    def load(self) -> Any:
        """Import it."""


def load(entry: Importable) -> Any:
    """Return what an entry point names.

    Whatever its import changes of the working directory, the locale, signal handlers and the
    like is put back.

    Raises:
        Meddling: It printed, or changed something.
        BaseException: Whatever the import raises.
    """
    key = (entry.name, entry.value)
    if key in _met:
        raise ProcessChange(_met[key])
    said = io.StringIO()
    with _put_back() as changed, warnings.catch_warnings(), redirect_stdout(said):
        module = entry.load()
    if text := said.getvalue().strip():
        changed.append(f"prints {text.splitlines()[0][:60]!r}")
    if changed:
        _met[key] = f"it {' and '.join(changed)} when it is imported"
        raise ProcessChange(_met[key])
    return module


@contextmanager
def _put_back() -> Iterator[list[str]]:
    """Restore the state of the process, and tell what had changed."""
    before = {name: read() for name, (read, _) in _STATE.items()}
    changed: list[str] = []
    try:
        yield changed
    finally:
        for name, (read, write) in _STATE.items():
            if (now := read()) != before[name] and now is not None:
                changed.append(f"changes {name}")
                with suppress(OSError, ValueError, TypeError, locale.Error):
                    write(before[name])


def _cwd() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - as chdir takes it
    except OSError:
        return None


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def _handlers() -> list[Any]:
    return [signal.getsignal(number) for number in _SIGNALS]


def _set_handlers(handlers: list[Any]) -> None:
    for number, handler in zip(_SIGNALS, handlers, strict=True):
        if handler is not None and signal.getsignal(number) is not handler:
            signal.signal(number, handler)


_STATE: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "the working directory": (_cwd, os.chdir),
    "the locale": (
        lambda: locale.setlocale(locale.LC_ALL),
        lambda told: locale.setlocale(locale.LC_ALL, told),
    ),
    "signal handlers": (_handlers, _set_handlers),
    "the mask of file modes": (_umask, os.umask),
    "the arguments": (lambda: list(sys.argv), lambda told: sys.argv.__setitem__(slice(None), told)),
    "the hook of exceptions": (
        lambda: sys.excepthook,
        lambda hook: setattr(sys, "excepthook", hook),
    ),
}

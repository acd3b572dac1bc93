"""Translate errors of a disk or a bucket into RepositoryErrors with advice."""

from __future__ import annotations

import errno
import re
import shlex
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aeros_core.errors import RepositoryError
from aeros_zarr.stores.store import Store

__all__ = ["Refused", "repository_errors", "typed"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EROFS, errno.EACCES, errno.EPERM)


class Refused(OSError):
    """An error of a store other than a file system, with advice.

    Args:
        number: The closest `errno`.
        reason: The reason, worded to follow a colon.
        hint: Advice: the option or command to type next.
    """

    def __init__(self, number: int, reason: str, *, hint: str) -> None:
        super().__init__(number, reason)
        self.hint = hint


@contextmanager
def repository_errors(
    what: str, store: Store, *, needs: int = 0, kept: Callable[[], str] | None = None
) -> Iterator[None]:
    """Turn an OSError of the block into a RepositoryError.

    Args:
        what: The operation that failed, as the beginning of a sentence: "round 3 of run 'a'
            could not be stored".
        store: The store that was accessed.
        needs: Bytes that the operation writes.
        kept: Returns a description of the data that remain readable; called only on an error.

    Raises:
        RepositoryError: The block raised an OSError.
    """
    try:
        yield
    except OSError as error:
        raise RepositoryError(
            f"{what} in {store.location()}: {_reason(error)}{_space(error, store, needs)}",
            exists=_ask(kept),
            hint=_hint(error),
        ) from error


def _reason(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{reason[:1].lower()}{reason[1:]}"


def _space(error: OSError, store: Store, needs: int) -> str:
    free = store.free() if error.errno in _FULL and needs else None
    return "" if free is None else f"; it needs {needs:,} bytes, {free:,} are free"


def _ask(kept: Callable[[], str] | None) -> str:
    try:
        return kept() if kept else ""
    except (OSError, RepositoryError):
        return ""


def _hint(error: OSError) -> str:
    if isinstance(error, Refused):
        return error.hint
    if error.errno in _FULL:
        return "free some space or raise the limit, then go on with task.resume=true"
    if error.errno in _DENIED:
        return "make the folder writable for this user, or repository.path=<another folder>"
    return "check the disk, or repository.path=<another folder>"


def typed(option: str, value: str) -> str:
    """Return an option and its value, quoted for a shell."""
    if re.fullmatch(r"[A-Za-z0-9._/+-]+", value):
        return f"{option}={value}"
    return shlex.quote(f"{option}='{value}'")

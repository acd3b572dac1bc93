"""The words for what a disk or a bucket refuses to do."""

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
    """What a store refuses that is no file system, with what to do about it.

    Args:
        number: The `errno` that comes nearest.
        reason: Why, as a sentence goes on after a colon.
        hint: What to type next.
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
        what: What could not be done, as the sentence begins: "round 3 of run 'a' could
            not be stored".
        store: Where it was to be done.
        needs: Bytes that it needs on the disk.
        kept: Says what stays readable; asked only if there is an error.

    Raises:
        RepositoryError: The system refused something within the block.
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
    return "look after the disk, or repository.path=<another folder>"


def typed(option: str, value: str) -> str:
    """Return an option with its value as a person types it in a shell."""
    if re.fullmatch(r"[A-Za-z0-9._/+-]+", value):
        return f"{option}={value}"
    return shlex.quote(f"{option}='{value}'")

"""The words for what a disk refuses to do."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from aeros_core.errors import RepositoryError

__all__ = ["explained"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def explained(
    what: str, root: Path, *, needs: int = 0, kept: Callable[[], str] | None = None
) -> Iterator[None]:
    """Turn an OSError of the block into a RepositoryError.

    Args:
        what: What could not be done, as the sentence begins: "round 3 of run 'a' could
            not be stored".
        root: The folder of the repository.
        needs: Bytes that it needs on the disk.
        kept: Says what stays readable; asked only if there is an error.

    Raises:
        RepositoryError: The system refused something within the block.
    """
    try:
        yield
    except OSError as error:
        raise RepositoryError(
            f"{what} in {root}: {_reason(error)}{_space(error, root, needs)}",
            exists=_ask(kept),
            hint=_hint(error),
        ) from error


def _reason(error: OSError) -> str:
    reason = error.strerror or str(error)
    return f"{reason[:1].lower()}{reason[1:]}"


def _space(error: OSError, root: Path, needs: int) -> str:
    if error.errno not in _FULL or not needs:
        return ""
    return f"; it needs {needs:,} bytes, {shutil.disk_usage(root).free:,} are free"


def _ask(kept: Callable[[], str] | None) -> str:
    try:
        return kept() if kept else ""
    except (OSError, RepositoryError):
        return ""


def _hint(error: OSError) -> str:
    if error.errno in _FULL:
        return "free some space or raise the limit, then go on with task.resume=true"
    if error.errno in _DENIED:
        return "make the folder writable for this user, or repository.path=<another folder>"
    return "look after the disk, or repository.path=<another folder>"

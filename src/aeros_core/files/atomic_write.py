"""Writing a file of a model: as a whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aeros_core.errors import RepositoryError

__all__ = ["replacing"]


@contextmanager
def replacing(path: Path, failure: type[Exception] = OSError) -> Iterator[Path]:
    """Yield an empty file beside ``path`` that takes its place once it is written and on disk.

    Args:
        path: The file; one that is there is replaced.
        failure: What a library raises, besides ``OSError``, where it cannot write.

    Raises:
        RepositoryError: The file cannot be written; what was at ``path`` is as it was.
    """
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        aside.touch(exist_ok=False)
    except OSError as error:  # also where others have a file of this name, which stays
        raise _unwritten(path, error) from error
    try:
        mode = aside.stat().st_mode  # safetensors' own files are readable by their owner alone
        yield aside
        aside.chmod(mode)
        with aside.open("rb+") as file:
            os.fsync(file.fileno())
        aside.replace(path)
    except (OSError, failure) as error:
        raise _unwritten(path, error) from error
    finally:
        aside.unlink(missing_ok=True)


def _unwritten(path: Path, error: Exception) -> RepositoryError:
    why = error.strerror if isinstance(error, OSError) and error.strerror else error
    return RepositoryError(f"{path} could not be written: {why}", hint="choose another file")

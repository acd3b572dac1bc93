"""Files as bytes, decompressed by their names."""

from __future__ import annotations

from pathlib import Path

from aeros_core.errors import ConfigError
from aeros_core.files import data_files
from aeros_core.files.decompression import unpack

__all__ = ["packed", "read"]


def read(path: str | Path, option: str) -> bytes:
    """Return what a file holds, unpacked where its name ends in .gz or .xz.

    Args:
        path: The file, as its option says or a site granted it.
        option: The option that named it, for messages.

    Raises:
        ConfigError: There is no such file, it may not be read, or is no regular file.
        AccessError: It lies outside of what a site gives.
        DataError: The packed file is damaged, or takes too much memory unpacked.
    """
    return unpack(packed(path, option), path)


def packed(path: str | Path, option: str) -> bytes:
    """Return the bytes of a file as they are; see `read`."""
    try:
        with data_files.open_file(path, option) as file:
            return file.read()
    except FileNotFoundError:
        raise ConfigError(
            f"{option}={path} does not exist",
            exists=_beside(path),
            hint=f"{option}=<path of the file>, seen from {Path.cwd()}",
        ) from None
    except OSError as error:
        raise ConfigError(f"{option}={path} cannot be read: {error.strerror}") from error


def _beside(path: str | Path) -> str:
    """Say what the directory of a missing file holds."""
    folder = data_files.beside(path)
    if not Path(folder).is_dir():
        return f"{folder} does not exist either"
    names = data_files.listing(folder)
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{folder} holds {', '.join(names[:10]) or 'no file'}{more}"

"""Files as bytes, decompressed by their names."""

from __future__ import annotations

from pathlib import Path

from aeros_core.errors import ConfigError
from aeros_core.unpacking import unpack

__all__ = ["packed", "read"]


def read(path: Path, option: str) -> bytes:
    """Return what a file holds, unpacked where its name ends in .gz or .xz.

    Args:
        path: The file.
        option: The option that named it, for messages.

    Raises:
        ConfigError: There is no such file, or it may not be read.
        DataError: The packed file is damaged, or takes too much memory unpacked.
    """
    return unpack(packed(path, option), path)


def packed(path: Path, option: str) -> bytes:
    """Return the bytes of a file as they are; see `read`."""
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"{option}={path} does not exist",
            exists=_beside(path),
            hint=f"{option}=<path of the file>, seen from {Path.cwd()}",
        ) from None
    except OSError as error:
        raise ConfigError(f"{option}={path} cannot be read: {error.strerror}") from error


def _beside(path: Path) -> str:
    """Say what the directory of a missing file holds."""
    if not path.parent.is_dir():
        return f"{path.parent} does not exist either"
    names = sorted(other.name for other in path.parent.iterdir() if other.is_file())
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return f"{path.parent} holds {', '.join(names[:10]) or 'no file'}{more}"

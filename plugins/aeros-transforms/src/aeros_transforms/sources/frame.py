"""pandas frames from files, with exact complaints."""

from __future__ import annotations

import io
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aeros_core.errors import ConfigError, DataError
from aeros_transforms.sources import files

__all__ = ["Layout"]

_SEPARATORS = {"whitespace": r"\s+", "tab": "\t"}


@dataclass(frozen=True, slots=True)
class Layout:
    """How the file of a table is laid out; Parquet says so itself.

    Args:
        header: Whether the first line holds the column names.
        names: Column names of a file without header; empty: 0, 1, 2, …
        separator: One character, or ``whitespace`` or ``tab``.

    Raises:
        ConfigError: These contradict one another.
    """

    header: bool
    names: tuple[str, ...]
    separator: str

    def __post_init__(self) -> None:
        """Refuse options that contradict one another."""
        if self.header and self.names:
            raise ConfigError(
                "transformer.table.names is for a file without header",
                hint="transformer.table.header=false",
            )
        if len(self.separator) != 1 and self.separator not in _SEPARATORS:
            raise ConfigError(
                f"transformer.table.separator={self.separator} is not possible",
                exists="one character, whitespace, tab",
            )

    def read(self, path: str | Path, option: str, texts: Collection[str] = ()) -> Any:
        """Return the file as a pandas frame whose columns have text names.

        Args:
            path: The file.
            option: The option that named it.
            texts: Columns of a text file that are read as they are written: 01 is not 1.

        Raises:
            ConfigError: There is no such file, or ``names`` has another length.
            DataError: The file is damaged.
        """
        data = io.BytesIO(files.read(path, option))
        try:
            packed = Path(path).suffix in (".parquet", ".pq")
            frame = _parquet(data) if packed else self._text(data, texts)
        except (ValueError, OSError) as error:  # what pandas and pyarrow raise derives from these
            reason = str(error).strip().splitlines()[0]
            raise DataError(f"{path} cannot be read as a table: {reason}") from error
        if not _numbered(frame):
            raise DataError(f"{path} has lines with more values than there are column names")
        return self._named(frame, path)

    def _text(self, data: io.BytesIO, texts: Collection[str]) -> Any:
        import pandas as pd

        if not self.header:  # pandas numbers the columns
            names = self.names or tuple(name for name in texts if name.isdigit())
            numbers = enumerate(names) if self.names else ((int(name), name) for name in names)
            kept: Collection[Any] = [number for number, name in numbers if name in texts]
        else:
            kept = texts

        return pd.read_csv(
            data,
            sep=_SEPARATORS.get(self.separator, self.separator),
            header=0 if self.header else None,
            encoding="utf-8-sig",
            low_memory=False,
            dtype=dict.fromkeys(kept, str),
        )

    def _named(self, frame: Any, path: str | Path) -> Any:
        names = self.names or tuple(str(name) for name in frame.columns)
        if len(names) != frame.shape[1]:
            raise ConfigError(
                f"transformer.table.names has {len(names)} names,"
                f" and {path} has {frame.shape[1]} columns"
            )
        return frame.set_axis(list(names), axis=1)


def _numbered(frame: Any) -> bool:
    """Tell whether pandas counted the rows, and did not take a column as their names."""
    import pandas as pd

    return bool(frame.index.equals(pd.RangeIndex(len(frame))))


def _parquet(data: io.BytesIO) -> Any:
    import pandas as pd

    return pd.read_parquet(data).reset_index(drop=True)

"""pandas frames from files, with exact complaints."""

from __future__ import annotations

import io
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aeros_core.errors import AerosError, ConfigError, DataError
from aeros_core.files import decompression
from aeros_transforms.sources.formats import compressed, parquet

__all__ = ["Layout"]

_SEPARATORS = {"whitespace": r"\s+", "tab": "\t"}
_CELL = 8
"""Bytes of a number or of a reference to a text in a frame."""


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
            DataError: The file is damaged, or takes too much memory.
        """
        packed = compressed.packed(path, option)
        try:
            if Path(path).suffix in (".parquet", ".pq"):
                frame = parquet.read(packed, path)
            else:
                frame = self._text(decompression.unpack(packed, path), path, len(packed), texts)
        except AerosError:
            raise
        except Exception as error:  # damaged bytes raise errors of many kinds in two libraries
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
            raise DataError(f"{path} cannot be read as a table: {reason}") from error
        if not _numbered(frame):
            raise DataError(f"{path} has lines with more values than there are column names")
        return self._named(frame, path)

    def _text(self, data: bytes, path: str | Path, packed: int, texts: Collection[str]) -> Any:
        columns = self._parsed(data, 1, ()).shape[1]
        rows = data.count(b"\n") + data.count(b"\r") + 1
        if rows * columns * _CELL > decompression.FLOOR:  # counted closely where it may matter
            rows = sum(1 for line in io.BytesIO(data) if line.strip())
        decompression.check(
            f"{path}, {rows} lines of {columns} columns,", rows * columns * _CELL, packed
        )
        return self._parsed(data, None, texts)

    def _parsed(self, data: bytes, rows: int | None, texts: Collection[str]) -> Any:
        import pandas as pd

        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                io.BytesIO(data),
                sep=_SEPARATORS.get(self.separator, self.separator),
                header=0 if self.header else None,
                encoding="utf-8-sig",
                low_memory=False,
                nrows=rows,
                dtype=dict.fromkeys(self._places(texts), str),
            )

    def _places(self, texts: Collection[str]) -> Collection[Any]:
        """Return what pandas calls some columns: it numbers those of a file without header."""
        if self.header:
            return texts
        if self.names:
            return [number for number, name in enumerate(self.names) if name in texts]
        return [int(name) for name in texts if name.isdecimal()]

    def _named(self, frame: Any, path: str | Path) -> Any:
        names = self.names or tuple(str(name) for name in frame.columns)
        if len(names) != frame.shape[1]:
            raise ConfigError(
                f"transformer.table.names has {len(names)} names,"
                f" and {path} has {frame.shape[1]} columns"
            )
        if len(set(names)) != len(names):
            twice = next(name for at, name in enumerate(names) if name in names[:at])
            raise DataError(f"{path} has two columns called '{twice}'")
        return frame.set_axis(list(names), axis=1)


def _numbered(frame: Any) -> bool:
    """Tell whether pandas counted the rows, and did not take a column as their names."""
    import pandas as pd

    return bool(frame.index.equals(pd.RangeIndex(len(frame))))

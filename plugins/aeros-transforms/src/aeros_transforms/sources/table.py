"""Tables in files: separated text and Parquet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.roles import Split
from aeros_core.schema import Schema
from aeros_transforms.config.sources import LabelKind
from aeros_transforms.options import all_known, known, override
from aeros_transforms.sources import series
from aeros_transforms.sources.frame import Layout
from aeros_transforms.sources.holdout import Holdout

__all__ = ["Table"]

_OPTION = "transformer.table"


class Table:
    """`config.sources.Table`: one field a column, the label last.

    Numbers become float32 scalars with the range observed, text becomes text with
    categories, the label and the group become int64 codes with categories (or the label a
    float32). Ranges and categories are those of both splits together, so that a model
    trained on one can be evaluated on the other.

    Raises:
        ConfigError: Options are missing, impossible, or contradict one another.
    """

    def __init__(
        self,
        *,
        path: str,
        test_path: str | None,
        test_fraction: float,
        seed: int,
        label: str | None,
        label_kind: LabelKind | str,
        group: str | None,
        columns: Sequence[str],
        drop: Sequence[str],
        header: bool,
        names: Sequence[str],
        separator: str,
        drop_missing: bool,
    ) -> None:
        if not path:
            raise ConfigError(f"{_OPTION}.path is not set", hint=f"{_OPTION}.path=<file>")
        if group is not None and group == label:
            raise ConfigError(f"{_OPTION}.group={group} is the label: by_group would drop it")
        self._path, self._test_path = path, test_path
        self._layout = Layout(header, tuple(names), separator)
        self._holdout = Holdout(_OPTION, test_fraction, seed)
        self._label, self._label_kind, self._group = label, LabelKind(label_kind), group
        self._columns, self._drop, self._drop_missing = tuple(columns), tuple(drop), drop_missing

    def load(self, split: Split) -> Dataset | None:
        """Return a split; see `roles.Source`."""
        train = self._layout.read(self._path, f"{_OPTION}.path")
        train = self._clean(train[self._kept(list(train.columns))], self._path)
        if self._test_path is None:
            return self._holdout.of(self._encode(train), split)
        whole = self._encode(_append(train, self._test(self._test_path, list(train.columns))))
        rows = slice(len(train)) if split == "train" else slice(len(train), None)
        return Dataset(whole.schema, {name: c[rows] for name, c in whole.columns.items()})

    def _test(self, path: str, columns: list[str]) -> Any:
        frame = self._layout.read(path, f"{_OPTION}.test_path")
        if missing := [name for name in columns if name not in frame]:
            raise DataError(f"{path} lacks {', '.join(missing)}, which {self._path} has")
        return self._clean(frame[columns], path)

    def _kept(self, names: list[str]) -> list[str]:
        """Return the columns to use, in the order of the file, the label last."""
        where = self._path
        if self._label is not None:
            known(f"{_OPTION}.label", self._label, names, where)
        if self._group is not None:
            known(f"{_OPTION}.group", self._group, names, where)
        for option, listed in (("columns", self._columns), ("drop", self._drop)):
            all_known(f"{_OPTION}.{option}", listed, names, where)
        last = [] if self._label is None else [self._label]
        always = {self._group, *last} - {None}
        if always & set(self._drop):
            raise ConfigError(
                f"{_OPTION}.drop names the label or the group", exists=", ".join(names)
            )
        wanted = (set(self._columns or names) - set(self._drop) | always) - set(last)
        return [*(name for name in names if name in wanted), *last]

    def _clean(self, frame: Any, path: str) -> Any:
        kept = frame.dropna() if self._drop_missing else frame
        if not len(kept):
            raise DataError(
                f"{path} holds no rows" + (" without a missing value" * bool(len(frame)))
            )
        return kept

    def _encode(self, frame: Any) -> Dataset:
        fields, columns = [], {}
        for name in frame.columns:
            field, columns[name] = self._field(name, frame[name])
            fields.append(field)
        return Dataset(Schema(tuple(fields), self._label), columns)

    def _field(self, name: str, values: Any) -> series.Encoded:
        """Encode one column as what it is used for."""
        if name not in (self._label, self._group):
            return series.feature(values)
        if name == self._group or self._label_kind is LabelKind.category:
            return series.category(values)
        if self._label_kind is LabelKind.number and not series.numeric(values):
            raise ConfigError(
                f"{_OPTION}.label_kind=number: column '{name}' holds text",
                hint=override(f"{_OPTION}.label_kind", "category"),
            )
        if self._label_kind is LabelKind.number or series.fractional(values):
            return series.number(values)
        return series.category(values)


def _append(train: Any, test: Any) -> Any:
    import pandas as pd

    return pd.concat([train, test], ignore_index=True)

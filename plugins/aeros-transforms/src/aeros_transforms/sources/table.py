"""Tables in files: separated text and Parquet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from enum import Enum
from typing import Any

import numpy as np

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.fields.alignment import Differences, SourceSchema, align
from aeros_core.roles.transformer import Split
from aeros_core.schema import Schema, Unknown
from aeros_transforms.config.sources import LabelKind
from aeros_transforms.options import all_known, known, override
from aeros_transforms.sources import series
from aeros_transforms.sources.declared_fields import Declared, rule_of, to_type
from aeros_transforms.sources.formats.frame import Layout
from aeros_transforms.sources.holdout import Holdout

__all__ = ["Table"]

_OPTION = "transformer.table"


class Table:
    """`config.sources.Table`: one field a column, the label last.

    Numbers become float32 scalars with the range observed, text becomes text with
    categories, the label and the group become int64 codes with categories (or the label a
    float32). Ranges and categories are those of both splits together, so that a model
    trained on one can be evaluated on the other; with a rule for unknown values, categories are
    those of the rows to train on. What is declared, or agreed among nodes, goes before what the
    file holds.

    Raises:
        ConfigError: Options are missing, impossible, or contradict one another.
    """

    observes_ranges = True

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
        categories: Mapping[Any, Any] | None,
        unknown: Enum | str,
        units: Mapping[Any, Any] | None,
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
        self._rule = rule_of(f"{_OPTION}.unknown", unknown)
        self._declared = Declared(_OPTION, categories, self._rule, units)
        if label in self._declared.categories and self._label_kind is LabelKind.number:
            raise ConfigError(
                f"{_OPTION}.label_kind=number: {_OPTION}.categories declares classes of '{label}'",
                hint=f"{_OPTION}.label_kind=category",
            )
        self._agreed: SourceSchema | None = None
        self._unused: tuple[str, ...] = ()
        self.declared, self.differences = frozenset(self._declared.categories), Differences()

    def adopt(self, agreed: SourceSchema) -> None:
        """Load from now on as an agreed schema says; see `transformer.SupportsSchema`."""
        self._agreed = agreed

    def declaration(self, categories: Mapping[str, Sequence[str]]) -> str:
        """Return what to type so that the task declares categories of these columns."""
        known = self._declared.categories | dict(categories)
        return to_type(f"{_OPTION}.categories", known, more=True)

    def load(self, split: Split) -> Dataset | None:
        """Return a split; see `transformer.Source`."""
        train = self._layout.read(self._path, f"{_OPTION}.path", self._texts)
        train = self._clean(train[self._kept(list(train.columns))], self._path)
        if self._test_path is None:
            return self._holdout.of(self._encode(train, len(train)), split)
        test = self._test(self._test_path, train)
        whole = self._encode(_append(train, test), len(train))
        rows = slice(len(train)) if split == "train" else slice(len(train), None)
        return Dataset(whole.schema, {name: c[rows] for name, c in whole.columns.items()})

    @property
    def _texts(self) -> frozenset[str]:
        """Columns whose values are names, however they look: 01 is not 1."""
        agreed = () if self._agreed is None else self._agreed.schema.fields
        named = {one.name for one in agreed if one.categories is not None}
        return frozenset(self._declared.categories) | named

    def _test(self, path: str, train: Any) -> Any:
        frame = self._layout.read(path, f"{_OPTION}.test_path", self._texts)
        columns = list(train.columns)
        if missing := [name for name in columns if name not in frame]:
            raise DataError(f"{path} lacks {', '.join(missing)}, which {self._path} has")
        test = self._clean(frame[columns], path)
        return test.assign(**{name: series.like(test[name], train[name]) for name in columns})

    def _kept(self, names: list[str]) -> list[str]:
        """Return the columns to use, in the order of the file, the label last."""
        if self._agreed is not None:
            return self._asked(names, self._agreed)
        where = self._path
        self._declared.check(names, where)
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

    def _asked(self, names: list[str], agreed: SourceSchema) -> list[str]:
        """Return the columns of a file that an agreed schema can make use of."""
        if agreed.optional is None:
            chosen = set(self._columns or names) - set(self._drop)
        else:
            chosen = set(agreed.optional)
        kept = [name for name in names if name in agreed.schema or name in chosen]
        self._unused = tuple(name for name in names if name not in frozenset(kept))
        return kept

    def _encode(self, frame: Any, rows: int) -> Dataset:
        """Return a frame as fields, of which the first ``rows`` are to train on."""
        fields, columns = [], {}
        for name in frame.columns:
            field, columns[name] = self._field(name, frame[name])
            fields.append(field)
        label = self._label if self._label in columns else None
        data = Dataset(Schema(tuple(fields), label), columns)
        if self._agreed is not None:
            aligned, found = align(data, self._agreed)
            self.differences = replace(found, extra=self._unused)
            return aligned
        seen = {} if rows == len(data) or self._rule is Unknown.refuse else _seen(data, rows)
        wanted = self._declared.schema(data.schema, self._group, seen)
        return align(data, SourceSchema(wanted), self._declared.hint)[0]

    def _field(self, name: str, values: Any) -> series.Encoded:
        """Encode one column as what it is used for."""
        if name in self._texts:
            return series.named(values)
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


def _seen(data: Dataset, rows: int) -> dict[str, list[str]]:
    """Return the texts of the first rows, sorted."""
    texts = [one.name for one in data.schema.features if one.dtype == "str"]
    return {name: np.unique(data.columns[name][:rows]).tolist() for name in texts}


def _append(train: Any, test: Any) -> Any:
    import pandas as pd

    return pd.concat([train, test], ignore_index=True)

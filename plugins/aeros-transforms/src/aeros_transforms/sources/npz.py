"""Arrays of a numpy .npz archive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.fields.alignment import Differences, SourceSchema, align
from aeros_core.files import npz
from aeros_core.roles.transformer import Split
from aeros_core.schema import Field, Schema
from aeros_transforms.options import known
from aeros_transforms.sources import encode
from aeros_transforms.sources.declared_fields import Declared, rule_of, to_type
from aeros_transforms.sources.formats import compressed
from aeros_transforms.sources.holdout import Holdout

__all__ = ["Npz"]

_OPTION = "transformer.npz"


class Npz:
    """`config.sources.Npz`: one field an array; objects in an archive are refused."""

    observes_ranges = True

    def __init__(
        self,
        *,
        path: str,
        label: str,
        test_fraction: float,
        seed: int,
        categories: Mapping[Any, Any] | None,
        unknown: Enum | str,
    ) -> None:
        if not path:
            raise ConfigError("transformer.npz.path is not set", hint="transformer.npz.path=<file>")
        self._path = path
        self._label = label
        self._holdout = Holdout(_OPTION, test_fraction, seed)
        rule = rule_of(f"{_OPTION}.unknown", unknown)
        self._declared = Declared(_OPTION, categories, rule)
        self._agreed: SourceSchema | None = None
        self.declared, self.differences = frozenset(self._declared.categories), Differences()

    def adopt(self, agreed: SourceSchema) -> None:
        """Load from now on as an agreed schema says; see `transformer.SupportsSchema`."""
        self._agreed = agreed

    def declaration(self, categories: Mapping[str, Sequence[str]]) -> str:
        """Return what to type so that the task declares categories of these arrays."""
        known = self._declared.categories | dict(categories)
        return to_type(f"{_OPTION}.categories", known, more=True)

    def load(self, split: Split) -> Dataset | None:
        """Return a split; see `transformer.Source`.

        Ranges and classes are those of both splits together.
        """
        arrays = _arrays(compressed.read(self._path, "transformer.npz.path"), self._path)
        train = _split(arrays, "_train") or arrays
        test = _split(arrays, "_test") if train is not arrays else {}
        if self._agreed is None:
            known(f"{_OPTION}.label", self._label, list(train), str(self._path))
            self._declared.check(list(train), str(self._path))
        length = self._length(train)
        if not test:
            return self._holdout.of(self._encode(train), split)
        if set(test) != set(train):
            odd = ", ".join(sorted(set(test) ^ set(train)))
            raise DataError(f"{self._path} holds only one split of {odd}")
        self._length(test)
        whole = self._encode({name: self._join(name, train, test) for name in train})
        rows = slice(length) if split == "train" else slice(length, None)
        return Dataset(whole.schema, {name: c[rows] for name, c in whole.columns.items()})

    def _length(self, arrays: Mapping[str, Array]) -> int:
        lengths = {name: len(array) if array.ndim else 0 for name, array in arrays.items()}
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            found = ", ".join(f"{name} {n}" for name, n in lengths.items())
            raise DataError(f"{self._path} holds arrays of unequal or no length: {found}")
        return next(iter(lengths.values()))

    def _join(self, name: str, train: Mapping[str, Array], test: Mapping[str, Array]) -> Array:
        if train[name].shape[1:] != test[name].shape[1:]:
            raise DataError(
                f"{self._path} holds '{name}' of shape {train[name].shape[1:]} in one split"
                f" and {test[name].shape[1:]} in the other"
            )
        return np.concatenate([train[name], test[name]])

    def _encode(self, arrays: Mapping[str, Array]) -> Dataset:
        columns, fields = {}, []
        for name, values in arrays.items():
            field, columns[name] = self._field(name, values)
            fields.append(field)
        label = self._label if self._label in columns else None
        data = Dataset(Schema(tuple(fields), label), columns)
        if self._agreed is not None:
            aligned, self.differences = align(data, self._agreed)
            return aligned
        wanted = SourceSchema(self._declared.schema(data.schema, None))
        return align(data, wanted, self._declared.hint)[0]

    def _field(self, name: str, values: Array) -> tuple[Field, Array]:
        """Encode an array as what it is used for."""
        agreed = () if self._agreed is None else self._agreed.schema.fields
        named = any(one.name == name and one.categories is not None for one in agreed)
        if (named or name in self._declared.categories) and values.dtype.kind in "fiubU":
            return encode.named(name, values)
        return (encode.target if name == self._label else encode.feature)(name, values)


def _arrays(data: bytes, path: str) -> dict[str, Array]:
    """Read an archive without unpickling anything."""
    try:
        return npz.read(data, path)
    except ValueError as error:
        raise DataError(
            f"{path} is not an archive of plain numpy arrays: {error}",
            hint="numpy.savez_compressed(path, x=…, y=…) writes one; arrays of objects are refused",
        ) from error


def _split(arrays: Mapping[str, Array], end: str) -> dict[str, Array]:
    return {name.removesuffix(end): a for name, a in arrays.items() if name.endswith(end)}

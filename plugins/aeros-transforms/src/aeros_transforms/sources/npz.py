"""Arrays of a numpy .npz archive."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from aeros_core import npz
from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.parameters import Array
from aeros_core.roles import Split
from aeros_core.schema import Schema
from aeros_transforms.options import known
from aeros_transforms.sources import encode, files
from aeros_transforms.sources.holdout import Holdout

__all__ = ["Npz"]


class Npz:
    """`config.sources.Npz`: one field an array; objects in an archive are refused."""

    def __init__(self, *, path: str, label: str, test_fraction: float, seed: int) -> None:
        if not path:
            raise ConfigError("transformer.npz.path is not set", hint="transformer.npz.path=<file>")
        self._path = path
        self._label = label
        self._holdout = Holdout("transformer.npz", test_fraction, seed)

    def load(self, split: Split) -> Dataset | None:
        """Return a split; see `roles.Source`.

        Ranges and classes are those of both splits together.
        """
        arrays = _arrays(files.read(self._path, "transformer.npz.path"), self._path)
        train = _split(arrays, "_train") or arrays
        test = _split(arrays, "_test") if train is not arrays else {}
        known("transformer.npz.label", self._label, list(train), str(self._path))
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
        return lengths[self._label]

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
            make = encode.target if name == self._label else encode.feature
            field, columns[name] = make(name, values)
            fields.append(field)
        return Dataset(Schema(tuple(fields), self._label), columns)


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

"""MNIST and Fashion-MNIST from their four idx files."""

from __future__ import annotations

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Dataset
from aeros_core.errors import ConfigError, DataError
from aeros_core.files import data_files
from aeros_core.roles.transformer import Split
from aeros_core.schema import Field, Schema
from aeros_transforms.sources.formats import compressed, idx

__all__ = ["FashionMnist", "Mnist"]

_NAMES = {"train": "train", "test": "t10k"}
_FILES = tuple(
    f"{s}-{kind}-ubyte" for s in _NAMES.values() for kind in ("images-idx3", "labels-idx1")
)
_DIGITS = tuple(str(digit) for digit in range(10))
_CLOTHES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker",
            "Bag", "Ankle boot")  # fmt: skip


class Mnist:
    """`config.sources.Mnist`: field ``image`` (1, 28, 28), 0 to 255; target ``label``."""

    def __init__(self, *, path: str | None) -> None:
        self._path = path or data_files.dataset("mnist")

    def load(self, split: Split) -> Dataset | None:
        """Return a split; see `transformer.Source`."""
        return _load(self._path, split, "transformer.mnist.path", _DIGITS)


class FashionMnist:
    """`config.sources.FashionMnist`: field ``image`` (1, 28, 28), 0 to 255; target ``label``."""

    def __init__(self, *, path: str | None) -> None:
        self._path = path or data_files.dataset("fashion-mnist")

    def load(self, split: Split) -> Dataset | None:
        """Return a split; see `transformer.Source`."""
        return _load(self._path, split, "transformer.fashion_mnist.path", _CLOTHES)


def _load(folder: str, split: Split, option: str, classes: tuple[str, ...]) -> Dataset:
    images = _read(folder, f"{_NAMES[split]}-images-idx3-ubyte", 3, option)
    labels = _read(folder, f"{_NAMES[split]}-labels-idx1-ubyte", 1, option)
    if len(images) != len(labels):
        raise DataError(f"{folder} holds {len(images)} images and {len(labels)} labels of {split}")
    if labels.max(initial=0) >= len(classes):
        raise DataError(
            f"{folder} holds the label {labels.max()}; labels are 0 to {len(classes) - 1}"
        )
    pixels = images[:, np.newaxis].astype(np.float32)
    schema = Schema(
        (
            Field("image", "float32", pixels.shape[1:], (0.0, 255.0)),
            Field("label", "int64", categories=classes),
        ),
        "label",
    )
    return Dataset(schema, {"image": pixels, "label": labels.astype(np.int64)})


def _read(folder: str, name: str, dimensions: int, option: str) -> Array:
    """Return the array of bytes of an idx file, packed or not."""
    found = [
        path
        for end in ("", ".gz", ".xz")
        if data_files.exists(path := data_files.inside(folder, name + end))
    ]
    if not found:
        raise ConfigError(
            f"{option}={folder} holds no {name}",
            exists=f"the files are called {', '.join(_FILES)}, each raw, .gz or .xz",
            hint=f"{option}=<directory of the files>, or set AEROS_DATA to the directory above it",
        )
    array = idx.parse(compressed.read(found[0], option), found[0])
    if array.ndim != dimensions or array.dtype != np.uint8:
        raise DataError(
            f"{found[0]} holds {array.dtype} in {array.ndim} dimensions, not bytes in {dimensions}"
        )
    return array

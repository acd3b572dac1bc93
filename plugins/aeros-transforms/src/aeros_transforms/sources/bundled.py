"""Real data sets that scikit-learn carries: nothing to fetch."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aeros_core.data import Dataset
from aeros_core.roles.transformer import Split
from aeros_core.schema import Schema
from aeros_transforms.sources import encode
from aeros_transforms.sources.holdout import Holdout

__all__ = ["BreastCancer", "Diabetes", "Digits", "Iris", "Wine"]

Matrix = NDArray[np.float64]


class Digits:
    """`config.sources.Digits`: field ``image`` (8, 8), 0 to 16; target ``label``."""

    public = True

    def __init__(self, *, test_fraction: float, seed: int) -> None:
        self._holdout = Holdout("transformer.digits", test_fraction, seed)

    def load(self, split: Split) -> Dataset | None:
        """Return a split; see `transformer.Source`."""
        rows = _rows("load_digits", "digits.csv.gz", header=0)
        names = [str(digit) for digit in range(10)]
        data = _classes("image", rows[:, :-1].reshape(-1, 8, 8), rows[:, -1], names)
        return self._holdout.of(data, split)


class BreastCancer:
    """`config.sources.BreastCancer`: field ``features`` (30,); target ``label``."""

    public = True

    def __init__(self, *, test_fraction: float, seed: int) -> None:
        self._holdout = Holdout("transformer.breast_cancer", test_fraction, seed)

    def load(self, split: Split) -> Dataset | None:
        """Return a split; see `transformer.Source`."""
        rows = _rows("load_breast_cancer", "breast_cancer.csv", header=1)
        data = _classes("features", rows[:, :-1], rows[:, -1], ["malignant", "benign"])
        return self._holdout.of(data, split)


class Iris:
    """`config.sources.Iris`: field ``features`` (4,) in cm; target ``label``."""

    public = True

    def __init__(self, *, test_fraction: float, seed: int) -> None:
        self._holdout = Holdout("transformer.iris", test_fraction, seed)

    def load(self, split: Split) -> Dataset | None:
        """Return a split; see `transformer.Source`."""
        rows = _rows("load_iris", "iris.csv", header=1)
        names = ["setosa", "versicolor", "virginica"]
        return self._holdout.of(_classes("features", rows[:, :-1], rows[:, -1], names), split)


class Wine:
    """`config.sources.Wine`: field ``features`` (13,); target ``label``."""

    public = True

    def __init__(self, *, test_fraction: float, seed: int) -> None:
        self._holdout = Holdout("transformer.wine", test_fraction, seed)

    def load(self, split: Split) -> Dataset | None:
        """Return a split; see `transformer.Source`."""
        rows = _rows("load_wine", "wine_data.csv", header=1)
        names = ["class_0", "class_1", "class_2"]
        return self._holdout.of(_classes("features", rows[:, :-1], rows[:, -1], names), split)


class Diabetes:
    """`config.sources.Diabetes`: field ``features`` (10,), unscaled; target ``target``."""

    public = True

    def __init__(self, *, test_fraction: float, seed: int) -> None:
        self._holdout = Holdout("transformer.diabetes", test_fraction, seed)

    def load(self, split: Split) -> Dataset | None:
        """Return a split; see `transformer.Source`."""
        from sklearn.datasets import load_diabetes

        features, values = load_diabetes(return_X_y=True, scaled=False)
        field, column = encode.number("features", features)
        goal, numbers = encode.number("target", values)
        data = Dataset(Schema((field, goal), "target"), {"features": column, "target": numbers})
        return self._holdout.of(data, split)


def _classes(name: str, values: Matrix, labels: Matrix, names: Sequence[str]) -> Dataset:
    field, column = encode.number(name, values)
    label, codes = encode.category("label", labels, names)
    return Dataset(Schema((field, label), "label"), {name: column, "label": codes})


def _rows(loader: str, file: str, *, header: int) -> Matrix:
    """Return the rows of a data set, the label in the last column.

    Importing scikit-learn takes seconds, its file milliseconds: the public loader is
    called where the file is not in its usual place.
    """
    spec = find_spec("sklearn")
    if spec is not None and spec.origin is not None:
        path = Path(spec.origin).parent / "datasets" / "data" / file
        if path.is_file():
            return np.loadtxt(path, delimiter=",", skiprows=header)
    from sklearn import datasets

    return np.column_stack(getattr(datasets, loader)(return_X_y=True))

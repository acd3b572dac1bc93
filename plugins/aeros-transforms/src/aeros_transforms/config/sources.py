"""Options of the sources. Nothing heavy is imported here."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aeros_core.options.metadata import file_option, folder_option

__all__ = [
    "BreastCancer",
    "Diabetes",
    "Digits",
    "FashionMnist",
    "Iris",
    "LabelKind",
    "Mnist",
    "Npz",
    "Table",
    "Text",
    "Unknown",
    "Wine",
]


class LabelKind(Enum):
    """What a column to predict holds."""

    auto = "auto"
    category = "category"
    number = "number"


class Unknown(Enum):
    """What happens to a value that is none of a field's categories."""

    refuse = "refuse"
    zeros = "zeros"
    other = "other"


@dataclass
class Digits:
    """Handwritten digits: 1,797 images of 8x8 in 10 classes, part of scikit-learn.

    Args:
        test_fraction: Part of each class kept for the test split, 0 to below 1; 0: none.
        seed: Seed of the draw of the test split.
    """

    _target_: str = "aeros_transforms.sources.bundled.Digits"
    test_fraction: float = 0.2
    seed: int = 0


@dataclass
class BreastCancer:
    """Breast cancer (Wisconsin): 569 rows of 30 features in 2 classes, part of scikit-learn.

    Args:
        test_fraction: Part of each class kept for the test split, 0 to below 1; 0: none.
        seed: Seed of the draw of the test split.
    """

    _target_: str = "aeros_transforms.sources.bundled.BreastCancer"
    test_fraction: float = 0.2
    seed: int = 0


@dataclass
class Iris:
    """Iris flowers: 150 rows of 4 features in 3 classes, part of scikit-learn.

    Args:
        test_fraction: Part of each class kept for the test split, 0 to below 1; 0: none.
        seed: Seed of the draw of the test split.
    """

    _target_: str = "aeros_transforms.sources.bundled.Iris"
    test_fraction: float = 0.2
    seed: int = 0


@dataclass
class Wine:
    """Wines: 178 rows of 13 features in 3 classes, part of scikit-learn.

    Args:
        test_fraction: Part of each class kept for the test split, 0 to below 1; 0: none.
        seed: Seed of the draw of the test split.
    """

    _target_: str = "aeros_transforms.sources.bundled.Wine"
    test_fraction: float = 0.2
    seed: int = 0


@dataclass
class Diabetes:
    """Diabetes progression: 442 rows of 10 raw features and a number, part of scikit-learn.

    Args:
        test_fraction: Part of the rows kept for the test split, 0 to below 1; 0: none.
        seed: Seed of the draw of the test split.
    """

    _target_: str = "aeros_transforms.sources.bundled.Diabetes"
    test_fraction: float = 0.2
    seed: int = 0


@dataclass
class Mnist:
    """MNIST: 60,000 + 10,000 images of 28x28 in 10 classes, from the four idx files.

    Args:
        path: Directory of the files, each raw, .gz or .xz; null: the usual one, below that in
            the environment variable AEROS_DATA or else ``data``.
    """

    _target_: str = "aeros_transforms.sources.mnist.Mnist"
    path: str | None = folder_option(dataset="mnist")


@dataclass
class FashionMnist:
    """Fashion-MNIST: 60,000 + 10,000 images of 28x28 in 10 classes, from the four idx files.

    Args:
        path: Directory of the files, each raw, .gz or .xz; null: the usual one, below that in
            the environment variable AEROS_DATA or else ``data``.
    """

    _target_: str = "aeros_transforms.sources.mnist.FashionMnist"
    path: str | None = folder_option(dataset="fashion-mnist")


@dataclass
class Table:
    """A table in a file, one field per column: separated text or Parquet.

    Args:
        path: The file: .csv or any other text, also .gz or .xz; .parquet.
        test_path: A file of the same columns for the test split; None: cut it from ``path``.
        test_fraction: Part of ``path`` (of each class of it) kept for the test split where
            there is no ``test_path``, 0 to below 1; 0: none.
        seed: Seed of the draw of the test split.
        label: Column to predict; None: there is none, the rows are to be answered about.
        label_kind: Whether the label is a category (a class) or a number; auto: a number
            where the column holds fractions, else a category.
        group: A column that tells clients apart, kept for the partitioner ``by_group``.
        columns: Columns to use; empty: all.
        drop: Columns to leave out.
        header: Whether the first line holds the column names.
        names: Column names of a file without header; empty: 0, 1, 2, …
        separator: One character, or ``whitespace`` or ``tab``.
        drop_missing: Leave out rows with a missing value.
        categories: The categories of columns, as in ``{kind: [red, green], y: [0, 1]}``, also of
            columns that hold numbers. The same on every node, whatever its own file holds.
        unknown: What happens to a value of a feature that is none of its categories: the rows
            are refused; it belongs to no category (``one_hot`` makes it all zeros); or it counts
            as the category ``other``. A label that is unknown is always refused.
        units: The units of columns, as in ``{height: cm}``.
    """

    _target_: str = "aeros_transforms.sources.table.Table"
    path: str = file_option("")
    test_path: str | None = file_option()
    test_fraction: float = 0.2
    seed: int = 0
    label: str | None = ""
    label_kind: LabelKind = LabelKind.auto
    group: str | None = None
    columns: list[str] = field(default_factory=list)
    drop: list[str] = field(default_factory=list)
    header: bool = True
    names: list[str] = field(default_factory=list)
    separator: str = ","
    drop_missing: bool = False
    categories: Any = None
    unknown: Unknown = Unknown.refuse
    units: Any = None


@dataclass
class Npz:
    """Arrays of a numpy .npz archive, one field each.

    Names that end in ``_train`` and ``_test`` are the two splits of one field; where no
    name does, the test split is cut from all arrays.

    Args:
        path: The archive.
        label: Name of the array to predict, without ``_train``: whole numbers, booleans and
            text are classes, fractions are numbers.
        test_fraction: Part of the rows (of each class) kept for the test split where the
            archive holds none, 0 to below 1; 0: none.
        seed: Seed of the draw of the test split.
        categories: The categories of arrays, as in ``{y: [0, 1, 2]}``, the same on every node.
        unknown: What happens to a value that is none of its categories: see `Table`.
    """

    _target_: str = "aeros_transforms.sources.npz.Npz"
    path: str = file_option("")
    label: str = "y"
    test_fraction: float = 0.2
    seed: int = 0
    categories: Any = None
    unknown: Unknown = Unknown.refuse


@dataclass
class Text:
    """A play, speeches of the form ``NAME:`` and lines, for prediction of the next character.

    Args:
        path: The file, UTF-8, also .gz or .xz; null: the usual one, below the directory in
            the environment variable AEROS_DATA or else ``data``.
        window: Characters seen before the one to predict, at least 1.
        stride: Characters from the start of one window to that of the next, at least 1.
        min_characters: Leave out speakers who say fewer characters in all.
        test_fraction: Part at the end of what each speaker says kept for the test split, 0
            to below 1; 0: none.
        alphabet: The characters, the same on every node; empty: those of the file.
        unknown: What happens to a character that is not in the alphabet: see `Table`.
    """

    _target_: str = "aeros_transforms.sources.text.Text"
    path: str | None = file_option(dataset="tinyshakespeare/input.txt.gz")
    window: int = 80
    stride: int = 10
    min_characters: int = 2000
    test_fraction: float = 0.2
    alphabet: str = ""
    unknown: Unknown = Unknown.refuse

"""Options of the steps. Nothing but the standard library is imported here."""

import dataclasses
from dataclasses import dataclass
from enum import Enum

__all__ = [
    "Clip",
    "Drop",
    "Flatten",
    "Limits",
    "MinMax",
    "OneHot",
    "Per",
    "Reshape",
    "Select",
    "Stack",
    "Standardise",
    "Window",
]


class Per(Enum):
    """How far one fitted value reaches."""

    feature = "feature"
    field = "field"


class Limits(Enum):
    """Where the limits of a scale come from."""

    auto = "auto"
    declared = "declared"
    fitted = "fitted"


@dataclass
class Standardise:
    """Mean 0 and standard deviation 1, fitted to the clients' sums.

    Args:
        fields: Names of the fields; empty: every floating-point field but the target.
        per: A mean and deviation for each feature (column, pixel), or one for a whole field.
    """

    _target_: str = "aeros_transforms.steps.scaling.standardise.Standardise"
    fields: list[str] = dataclasses.field(default_factory=list)
    per: Per = Per.feature


@dataclass
class MinMax:
    """Values from 0 to 1.

    Args:
        fields: Names of the fields; empty: every floating-point field but the target.
        limits: Lowest and highest value as the schema declares them, the same for the whole
            field (declared), or as the clients' data have them (fitted); auto: declared
            where the schema knows them, else fitted. The range of a table is what its rows
            hold, which declares nothing: it is fitted.
        per: Fitted limits for each feature (column, pixel), or one pair for a whole field.
        clip: Cut what lies outside the limits to 0 and 1.
    """

    _target_: str = "aeros_transforms.steps.scaling.min_max.MinMax"
    fields: list[str] = dataclasses.field(default_factory=list)
    limits: Limits = Limits.auto
    per: Per = Per.feature
    clip: bool = True


@dataclass
class OneHot:
    """Categories as vectors of zeros and a one.

    Args:
        fields: Names of the fields; empty: every field with categories but the target.
    """

    _target_: str = "aeros_transforms.steps.one_hot.OneHot"
    fields: list[str] = dataclasses.field(default_factory=list)


@dataclass
class Reshape:
    """Another shape for each example of a field.

    Args:
        field: Name of the field; empty: the only one beside the target.
        shape: Shape of one example; one length may be -1: whatever is left.
    """

    _target_: str = "aeros_transforms.steps.reshape.Reshape"
    field: str = ""
    shape: list[int] = dataclasses.field(default_factory=lambda: [-1])


@dataclass
class Flatten:
    """Each example of a field as one vector: ``reshape`` to -1.

    Args:
        field: Name of the field; empty: the only one beside the target.
        shape: Shape of one example.
    """

    _target_: str = "aeros_transforms.steps.reshape.Reshape"
    field: str = ""
    shape: list[int] = dataclasses.field(default_factory=lambda: [-1])


@dataclass
class Stack:
    """Numbers and vectors one behind the other in one vector field.

    Args:
        fields: Names of the fields, in order; empty: every field but the target.
        name: Name of the vector field.
    """

    _target_: str = "aeros_transforms.steps.concatenate.Stack"
    fields: list[str] = dataclasses.field(default_factory=list)
    name: str = "features"


@dataclass
class Window:
    """Windows over consecutive rows; the label is that of a window's last row.

    The number of rows changes: put it before the partitioner.

    Args:
        size: Rows in a window, at least 1.
        stride: Rows from the start of one window to that of the next, at least 1.
        group: Field whose value is the same throughout a window; None: any rows.
    """

    _target_: str = "aeros_transforms.steps.window.Window"
    size: int = 10
    stride: int = 1
    group: str | None = None


@dataclass
class Select:
    """Only these fields, in this order, and the target.

    Args:
        fields: Names of the fields to keep.
    """

    _target_: str = "aeros_transforms.steps.select.Select"
    fields: list[str] = dataclasses.field(default_factory=list)


@dataclass
class Drop:
    """All fields but these.

    Args:
        fields: Names of the fields to leave out.
    """

    _target_: str = "aeros_transforms.steps.drop.Drop"
    fields: list[str] = dataclasses.field(default_factory=list)


@dataclass
class Clip:
    """Values cut at limits.

    Args:
        low: Lowest value, in the field's unit; None: no limit.
        high: Highest value, in the field's unit; None: no limit.
        fields: Names of the fields; empty: every floating-point field but the target.
    """

    _target_: str = "aeros_transforms.steps.clip.Clip"
    low: float | None = None
    high: float | None = None
    fields: list[str] = dataclasses.field(default_factory=list)

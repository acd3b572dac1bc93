"""Dtypes that a federated model may hold, and which of them travel as differences.

Floating-point vectors may travel as differences and through a codec. Integers and truth
values never do: they are sent as values, since a difference of unsigned integers wraps and
one of truth values does not exist.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from aeros_core.errors import ConfigError
from aeros_core.parameters import Layout

__all__ = ["AVERAGED", "check_dtypes", "is_real"]

AVERAGED = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "float32", "float64",
)  # fmt: skip
"""Dtypes that aggregation rules, codecs and messages work with, the same on every machine."""


@cache
def is_real(dtype: str) -> bool:
    """Return whether vectors of this dtype hold floating-point numbers."""
    return np.dtype(dtype).kind == "f"


def check_dtypes(layout: Layout) -> None:
    """Refuse a model with a tensor that no rule averages, before a run begins.

    Raises:
        ConfigError: A tensor is complex, extended precision, text, or of another dtype that
            is not among `AVERAGED`; names it.
    """
    for tensor in layout.tensors:
        if tensor.dtype not in AVERAGED:
            raise ConfigError(
                f"tensor '{tensor.name}' of the model has dtype {tensor.dtype},"
                " which aggregation rules do not average",
                exists=", ".join(AVERAGED),
                hint="store it as one of these (a complex tensor as its real and its imaginary"
                " part), or leave it out of the model's state: persistent=False",
            )

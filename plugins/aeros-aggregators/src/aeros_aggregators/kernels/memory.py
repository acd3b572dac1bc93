"""Reading arrays by their address."""

from __future__ import annotations

from typing import Any, cast

import numba
from numba import types

from aeros_aggregators.kernels.jit import instruction, kernel
from aeros_core.arrays import Array

__all__ = ["view"]


def _pointer(_typing: Any, _address: Any, like: Any) -> Any:
    """Return an integer as a pointer to elements of the dtype of ``like``."""
    pointer: Any = types.CPointer
    signature = pointer(like.dtype)(types.int64, like)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return signature, build


_pointer_to = instruction(_pointer)
_array_at = cast("Any", numba).carray


@kernel
def view(address: int, first: int, length: int, like: Array) -> Array:
    """Return ``length`` elements of the array at ``address``, from element ``first`` on."""
    array: Array = _array_at(_pointer_to(address + first * like.itemsize, like), length)
    return array

"""How kernels are compiled (`aeros_core.numerics.jit`), and what they call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba  # noqa: F401 - wholly before a part of it, or two threads may wait for one another
from numba.extending import intrinsic, overload

from aeros_core.numerics.jit import REASSOCIATED, SETTINGS, compile_kernel

__all__ = ["chosen", "instruction", "kernel", "reduction"]

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile ``function``, with sums in the order that it says."""
    return compile_kernel(function)


def reduction(function: Function) -> Function:
    """Do as `kernel`, and let sums be split over vector lanes.

    The split depends on the length alone, so the same input gives the same bits.
    """
    return compile_kernel(function, fastmath=REASSOCIATED)


def instruction(emit: Callable[..., Any]) -> Any:
    """Return what kernels call to have ``emit`` write LLVM instructions in place."""
    return intrinsic(emit)


def chosen(function: Callable[..., Any]) -> Any:
    """Return what marks a function that chooses by types what ``function`` does in kernels."""
    options: Any = dict(SETTINGS)
    return overload(function, jit_options=options, strict=False)  # strict compares annotations

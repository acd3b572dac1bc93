"""How kernels are compiled: on first use, without the GIL, kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.extending import intrinsic, overload

from aeros_core import kernel_cache

__all__ = ["chosen", "instruction", "kernel", "reduction"]

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile ``function`` with numba when it is first called, or load it from disk.

    numba keeps the machine code in ``__pycache__`` beside the module, in the user's cache
    where that cannot be written, or where ``NUMBA_CACHE_DIR`` says; in memory alone
    where there is no such place, or other users can write there (`aeros_core.kernel_cache`).
    """
    return _compiled(function, fastmath=False)


def reduction(function: Function) -> Function:
    """Do as `kernel`, and let sums be split over vector lanes.

    The split depends on the length alone, so the same input gives the same bits.
    """
    return _compiled(function, fastmath={"reassoc", "contract"})


def _compiled(function: Function, fastmath: bool | set[str]) -> Function:
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
    compiled = numba.njit(function, **options)
    kernel_cache.keep(compiled)
    return cast("Function", compiled)


def instruction(emit: Callable[..., Any]) -> Any:
    """Return what kernels call to have ``emit`` write LLVM instructions in place."""
    return intrinsic(emit)


def chosen(function: Callable[..., Any]) -> Any:
    """Return what marks a function that chooses by types what ``function`` does in kernels."""
    options: Any = {"nogil": True, "error_model": "numpy"}
    return overload(function, jit_options=options, strict=False)  # strict compares annotations

"""How kernels are compiled: on first use, without the GIL, kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from aeros_core import kernel_cache

__all__ = ["inner", "kernel"]

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile ``function`` with numba when it is first called, or load it from disk.

    Sums may be split over vector lanes; how depends on lengths alone, so the same input
    gives the same bits. NaN and infinity go through, so a training that diverges shows.

    numba keeps the machine code in ``__pycache__`` beside the module, in the user's cache
    where that cannot be written, or where ``NUMBA_CACHE_DIR`` says; in memory alone
    where there is no such place, or other users can write there (`aeros_core.kernel_cache`).
    """
    return _compiled(function)


def inner(function: Function) -> Function:
    """Do as `kernel`, for what kernels alone call: Python cannot."""
    return _compiled(function, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def _compiled(function: Function, **more: bool) -> Function:
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"reassoc", "contract"},
        **more,
    }
    compiled = numba.njit(function, **options)
    kernel_cache.keep(compiled)
    return cast("Function", compiled)

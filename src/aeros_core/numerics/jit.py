"""How kernels are compiled: by numba on first use, without the GIL, kept on disk.

numba is a dependency of the plugins that have kernels, and not of the core: it is imported
when the first of their modules is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from aeros_core.numerics import kernel_cache

__all__ = ["REASSOCIATED", "SETTINGS", "compile_kernel"]

Function = TypeVar("Function", bound=Callable[..., Any])

SETTINGS: Mapping[str, Any] = {"nogil": True, "error_model": "numpy"}
"""Settings of every kernel."""

REASSOCIATED = frozenset({"reassoc", "contract"})
"""Let sums be split over vector lanes: how depends on the length alone, so the same input
gives the same bits. NaN and infinity go through."""


def compile_kernel(
    function: Function, *, fastmath: frozenset[str] = frozenset(), **settings: bool
) -> Function:
    """Compile ``function`` with numba when it is first called, or load it from disk.

    numba keeps the machine code in ``__pycache__`` beside the function's module, in the user's
    cache where that cannot be written, or where ``NUMBA_CACHE_DIR`` says; in memory alone
    where there is no such place, or other users can write there
    (`aeros_core.numerics.kernel_cache`).

    Args:
        function: What to compile.
        fastmath: Which rules of IEEE 754 need not hold, in LLVM's words.
        settings: More settings of ``numba.njit``.
    """
    import numba

    options = {**SETTINGS, "fastmath": set(fastmath) or False, **settings}
    compiled = numba.njit(function, **options)
    kernel_cache.configure(compiled)
    return cast("Function", compiled)

"""How kernels are compiled (`jit`): their sums may be split over vector lanes."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from numba import types
from numba.extending import overload

from aeros_core.numerics.jit import REASSOCIATED, SETTINGS, compile_kernel

__all__ = ["implements", "inner", "kernel"]

Function = TypeVar("Function", bound=Callable[..., Any])


def kernel(function: Function) -> Function:
    """Compile ``function``; NaN and infinity go through, so a training that diverges shows."""
    return compile_kernel(function, fastmath=REASSOCIATED)


def inner(function: Function) -> Function:
    """Do as `kernel`, for what kernels alone call: Python cannot."""
    return compile_kernel(
        function, fastmath=REASSOCIATED, no_cpython_wrapper=True, no_cfunc_wrapper=True
    )


def implements(function: Callable[..., Any], cls: type) -> Callable[[Function], Function]:
    """Return what marks what ``function`` does in kernels where its first argument is a ``cls``.

    Args:
        function: What kernels call; it has as many implementations as there are classes.
        cls: A class of named tuples, or that of None.
    """

    def mark(implementation: Function) -> Function:
        def choose(first: Any, *_others: Any) -> Function | None:
            found = getattr(first, "instance_class", None)
            none = cls is type(None) and isinstance(first, types.NoneType)
            return implementation if found is cls or none else None

        choose.__signature__ = inspect.signature(implementation)  # type: ignore[attr-defined]
        options: Any = {**SETTINGS, "fastmath": set(REASSOCIATED)}
        overload(function, jit_options=options, strict=False)(choose)  # annotations may differ
        return implementation

    return mark

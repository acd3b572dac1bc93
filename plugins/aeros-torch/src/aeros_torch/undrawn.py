"""Modules whose parameters are not drawn, as others take their place at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["undrawn"]


def undrawn(make: Callable[[], Any]) -> Any:
    """Return what ``make`` makes, the memory of its parameters as it was, untouched.

    Drawing takes longer than all else that is done to take a stored model up. Where other
    random numbers are drawn, they depend on those before: then it is made as ever.
    """
    before = torch.get_rng_state()
    with _Undrawn():
        made = make()
    if torch.equal(before, torch.get_rng_state()):
        return made
    torch.set_rng_state(before)
    return make()


class _Undrawn(TorchFunctionMode):
    """Leaves out, in this thread, what would fill parameters."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        options = kwargs or {}
        target = args[0] if args else options.get("tensor")
        fills = func in _FILLS or getattr(func, "__module__", "") == nn.init.__name__
        if fills and isinstance(target, nn.Parameter):
            return target
        return func(*args, **options)


_FILLS = (Tensor.uniform_, Tensor.normal_)

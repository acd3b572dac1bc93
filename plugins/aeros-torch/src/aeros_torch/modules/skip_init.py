"""Modules whose parameters are not drawn, as others take their place at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["skip_init"]


def skip_init(make: Callable[[], Any]) -> Any:
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


# Why not `torch.nn.utils.skip_init` or the meta device: the former wants modules that take
# ``device``; the latter loses tensors that are neither parameters nor in the state dict, such as
# a buffer that is not persistent or a table in a list, and takes 1.5 to 3 times as long to make
# the models of this package.
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

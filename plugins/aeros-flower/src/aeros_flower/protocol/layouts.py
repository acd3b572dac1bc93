"""The layout of parameters as a message says it, and whether vectors are of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aeros_core.arrays import Array
from aeros_core.parameters import Layout, Parameters, TensorSpec
from aeros_flower.protocol.message_content import WireError, dtype_of, name_of, named, of

__all__ = ["misfit", "read_parameters"]


def misfit(found: Mapping[str, Array], layout: Layout) -> str:
    """Return why vectors are not of a layout; empty where they are."""
    lengths = {dtype: len(vector) for dtype, vector in found.items()}
    if lengths != layout.sizes:
        return f"vectors of lengths {lengths}, not {dict(layout.sizes)}"
    for dtype, vector in found.items():
        if name_of(vector.dtype) != dtype:
            return f"numbers of {vector.dtype} for {dtype}"
    return ""


def read_parameters(head: Mapping[str, Any], arrays: Sequence[Array]) -> Parameters:
    """Return the parameters that a message says, with their layout.

    Raises:
        WireError: Something is missing, of another type, or of another size.
    """
    layout = _layout(head)
    found = named(head, "parameters", arrays)
    if wrong := misfit(found, layout):
        raise WireError(wrong)
    return Parameters(layout, found)


def _layout(head: Mapping[str, Any]) -> Layout:
    specs = []
    for row in of(head.get("layout"), list, "layout"):
        if len(of(row, list, "tensor")) != 4:
            raise WireError(f"a tensor of {row!r}")
        name, shape, dtype, offset = row
        lengths = tuple(of(n, int, "shape") for n in of(shape, list, "shape"))
        if any(n < 0 for n in lengths) or of(offset, int, "offset") < 0:
            raise WireError(f"tensor '{name}' lies nowhere")
        specs.append(TensorSpec(of(name, str, "tensor"), lengths, dtype_of(dtype).name, offset))
    layout = Layout(tuple(specs))
    if head.get("digest") != layout.digest:
        raise WireError("the layout does not have its digest")
    return layout

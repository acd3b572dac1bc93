"""What a graph takes and gives: its number of rows, and what no request or reply can hold."""

from __future__ import annotations

from onnx import ModelProto, ValueInfoProto

from aeros_core.errors import ConfigError
from aeros_onnx.session import OnnxSession
from aeros_onnx.traversal import required_inputs

__all__ = ["WHOLE", "check_inputs", "check_outputs"]

WHOLE = "serve it whole, one row a graph: aeros models import FILE --name NAME --unbatched"
"""What to do about a graph whose first dimensions are no rows."""

_SERVED = {
    "bool", "string", "float16", "float", "double",
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
}  # fmt: skip
"""The dtypes of outputs that a reply can hold, as onnxruntime calls them."""

_SPOKEN = {"seq": "sequence", "sparse_tensor": "sparse tensor"}

_MENDING = {
    "seq": "make it one tensor: end the graph with ConcatFromSequence or SequenceAt",
    "map": "make it one tensor: leave the ZipMap or DictVectorizer at the end out",
    "optional": "make it one tensor: end the graph with OptionalGetElement",
    "sparse_tensor": "make it a dense tensor",
}


def check_inputs(proto: ModelProto, *, whole: bool = False) -> None:
    """Refuse inputs that no request can bring.

    Args:
        proto: The model.
        whole: Whether the graph is served whole, so that its first dimensions are no rows.

    Raises:
        ConfigError: One is no tensor, has no dimension for rows, or another number of rows.
    """
    inputs = required_inputs(proto)
    if not inputs:
        raise ConfigError(
            "the graph takes no input, so it answers the same to every request",
            hint="export it with an input of shape (rows, …)",
        )
    rows: dict[int, str] = {}
    for value in inputs:
        _check_tensor(value)
        dims = value.type.tensor_type.shape.dim
        if not whole and not dims:
            raise ConfigError(
                f"input '{value.name}' of the graph is a scalar, without a dimension for rows",
                hint=WHOLE,
            )
        if dims and dims[0].HasField("dim_value"):
            rows.setdefault(dims[0].dim_value, value.name)
    if not whole and len(rows) > 1:
        told = ", ".join(f"'{name}' {number}" for number, name in rows.items())
        raise ConfigError(
            f"inputs of the graph have different lengths in their first dimension, {told}: it is"
            " no number of rows",
            hint=WHOLE,
        )


def _check_tensor(value: ValueInfoProto) -> None:
    kind = value.type.WhichOneof("value") or "value of no type"
    if kind != "tensor_type":
        raise ConfigError(
            f"input '{value.name}' of the graph is no tensor but a {kind.removesuffix('_type')}",
            hint="export it with tensors as inputs",
        )
    if not value.type.tensor_type.HasField("shape"):
        raise ConfigError(
            f"input '{value.name}' of the graph has no shape, not even a number of dimensions",
            hint="export it with inputs of shape (rows, …); lengths may be left open",
        )


def check_outputs(running: OnnxSession) -> None:
    """Refuse outputs that no reply can hold.

    Raises:
        ConfigError: One is no tensor, or of a dtype that a reply does not have.
    """
    for name, kind in running.output_types.items():
        outer, _, inner = kind.partition("(")
        if outer != "tensor":
            raise ConfigError(
                f"output '{name}' of the graph is a {_SPOKEN.get(outer, outer)}, {kind}, which"
                " no reply can hold",
                hint=_MENDING.get(outer, "make it one tensor"),
            )
        if inner.rstrip(")") not in _SERVED:
            raise ConfigError(
                f"output '{name}' of the graph is of dtype {inner.rstrip(')')}, which numpy does"
                " not have",
                exists=", ".join(sorted(_SERVED)),
                hint="end the graph with a Cast to float32",
            )

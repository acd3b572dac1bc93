"""Load an ONNX file from anywhere as a model that can be served, or say why it never can."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from onnx import ModelProto, TensorProto

from aeros_core.arrays import Array
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_onnx import graph, validation
from aeros_onnx.importing import external_data, rewriting, signature
from aeros_onnx.importing.trial import try_rows
from aeros_onnx.session import OnnxSession

__all__ = ["load", "load_graph"]

_LABELS: Mapping[int, str] = {TensorProto.INT64: "int64", TensorProto.STRING: "str"}
"""The dtypes of an output that names classes."""


def load(path: Path, name: str) -> Model:
    """Read a file as a model of this name, as `load_graph` does.

    Raises:
        RepositoryError: It cannot be read, is damaged, or onnxruntime cannot run it.
        ConfigError: It needs files from elsewhere, operators or dtypes that are not known, or
            no request could be answered with it.
    """
    return load_graph(path, name)[0]


def load_graph(path: Path, name: str, *, unbatched: bool = False) -> tuple[Model, Sequence[str]]:
    """Read a file as a model of this name; what `save` said of it comes back too.

    Tensors that it keeps in other files are read from its own folder. Outputs that a ZipMap
    makes become the tensor that it was given, with the labels of its classes as the target's
    categories.

    Args:
        path: The file.
        name: Name of the model.
        unbatched: Whether the first dimensions of the graph are no rows: a row is then what the
            whole graph takes.

    Returns:
        The model, and how it differs from the file or takes its rows, one line each.

    Raises:
        RepositoryError: It cannot be read, is damaged, or onnxruntime cannot run it.
        ConfigError: It needs files from elsewhere, operators or dtypes that are not known, or
            no request could be answered with it.
    """
    proto, _ = validation.opened(path)
    proto.ClearField("training_info")
    weights = external_data.read(proto, path)
    signature.check_inputs(proto, whole=unbatched)
    with rewriting.shapes_stated(proto):
        validation.checked(proto, str(path), weights=weights)
    zip_maps = rewriting.replace_zip_maps(proto)
    rewriting.open_empty_dimensions(proto)
    signature.check_outputs(OnnxSession(proto, fold=False, weights=weights))
    if unbatched:
        rewriting.wrap_whole(proto)
    rows = _try(proto, weights)
    notes = [*map(_zip_map_note, zip_maps), *_rows_note(rows, unbatched=unbatched)]
    return _labelled(graph.packed(proto, name, weights), proto, zip_maps), notes


def _try(proto: ModelProto, weights: Mapping[str, Array]) -> int | None:
    """Return the number of rows that a graph takes at a time, after it has computed some."""
    running = OnnxSession(proto, fold=False, weights=weights)
    tried = try_rows(running, graph.fields_of(proto))
    rewriting.state_ranks(proto, tried.ranks)
    if tried.rows is not None and running.fixed_rows is None:
        rewriting.fix_rows(proto, tried.rows)
    return tried.rows


def _zip_map_note(zip_map: rewriting.ZipMap) -> str:
    shown = ", ".join(zip_map.labels[:5]) + (", …" if len(zip_map.labels) > 5 else "")
    return f"output '{zip_map.output}' is a tensor with a column for each class, {shown}: no ZipMap"


def _rows_note(rows: int | None, *, unbatched: bool) -> list[str]:
    if unbatched:
        return ["it is served whole: a row of a request is all that the graph takes"]
    if rows == 1:
        return ["it takes one row at a time: those of a request are computed one after another"]
    if rows is not None:
        return [f"it takes {rows} rows at a time: fewer are filled up to {rows}, and cut again"]
    return []


def _labelled(model: Model, proto: ModelProto, zip_maps: Sequence[rewriting.ZipMap]) -> Model:
    """Return a model whose target has the labels of a ZipMap as its categories."""
    named = {field.name for field in model.schema.fields}
    others = [v for v in proto.graph.output if v.name not in {z.output for z in zip_maps}]
    if model.schema.target is not None or len(zip_maps) != 1 or not zip_maps[0].labels:
        return model
    dtype = _LABELS.get(others[0].type.tensor_type.elem_type) if len(others) == 1 else None
    if dtype is None or others[0].name in named:
        return model
    target = Field(others[0].name, dtype, categories=zip_maps[0].labels)
    return replace(model, schema=Schema((*model.schema.fields, target), target.name))

"""Convert runs, rounds and models to manifests and blobs, and back.

A manifest holds plain data and the digests of blobs. Parameters are stored as one blob per
dtype, and each array of a state as a blob of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from msgspec import UNSET

from aeros_core.arrays import Vector, pieces
from aeros_core.errors import RepositoryError
from aeros_core.messages import State
from aeros_core.parameters import Layout, Parameters
from aeros_core.records import Checkpoint, Model, ModelInfo, Run
from aeros_core.results import Round
from aeros_core.schema import Schema
from aeros_zarr.blobs import parameter_vectors
from aeros_zarr.blobs.blobs import Blobs, Stored
from aeros_zarr.format.record_schemas import (
    ModelRecord,
    RoundRecord,
    RunRecord,
    from_record,
    to_record,
)

__all__ = [
    "Content",
    "checkpoint_of",
    "content_of_checkpoint",
    "content_of_model",
    "content_of_run",
    "digests",
    "info_of",
    "model_of",
    "part_of",
    "run_of",
]

Content: TypeAlias = dict[str, Any]
"""The content of a manifest."""

_BLOB = "$blob"
_SAMPLES, _NO_OWNER = "samples", ""


def content_of_run(run: Run) -> Content:
    """Return the content of ``run.json``."""
    return to_record(RunRecord, run)


def run_of(content: Content) -> Run:
    """Return the run of a `content_of_run`."""
    return from_record(Run, RunRecord, content)


def content_of_checkpoint(
    checkpoint: Checkpoint, blobs: Blobs, folder: str, bases: Mapping[str, str]
) -> Content:
    """Store a checkpoint's arrays in a folder; return the content of its manifest.

    Pieces of vectors that the bases, ``{dtype: blob}``, already hold are not stored again.
    """
    states = _states(checkpoint.state)
    named, names = parameter_vectors.put(blobs, folder, checkpoint.parameters, bases, states)
    return to_record(
        RoundRecord,
        checkpoint,
        round=checkpoint.round.to_json(),
        parameters=named,
        bases=parameter_vectors.sources(blobs, folder, named) if bases else [],
        state=_named_states(checkpoint.state, names),
    )


def checkpoint_of(content: Content, blobs: Blobs, folder: str) -> Checkpoint:
    """Return the checkpoint of a `content_of_checkpoint`, verified.

    Raises:
        RepositoryError: A blob is missing or damaged.
    """
    return from_record(
        Checkpoint,
        RoundRecord,
        content,
        round=Round.from_json(content["round"]),
        parameters=_read_parameters(content["parameters"], blobs, folder),
        state=_read_states(content["state"], blobs, folder),
    )


def content_of_model(model: Model, blobs: Blobs, folder: str, bases: Mapping[str, str]) -> Content:
    """Store a model's arrays in a folder; return the content of its manifest.

    Pieces of vectors that the bases, ``{dtype: blob}``, already hold are not stored again.
    """
    states = _states({**model.fitted, _NO_OWNER: model.samples})
    named, names = parameter_vectors.put(blobs, folder, model.parameters, bases, states)
    return to_record(
        ModelRecord,
        model,
        digest=_digest(model.parameters, named, blobs, folder),
        parameters=named,
        bases=parameter_vectors.sources(blobs, folder, named) if bases else [],
        nbytes=model.parameters.nbytes,
        schema=model.schema.to_json(),
        inputs=None if model.inputs is None else model.inputs.to_json(),
        fitted=_named_states(model.fitted, names),
        samples=_rows(model.samples, names) if model.samples else UNSET,
    )


def part_of(
    patterns: Sequence[str], content: Content, blobs: Blobs, folder: str
) -> tuple[Layout, Parameters]:
    """Read the tensors of a model that match any of these patterns, verified.

    Returns:
        The layout of the whole model, and the matching tensors.

    Raises:
        RepositoryError: A blob is missing or damaged.
    """
    layout = _layout(content["parameters"], blobs, folder)
    wanted = layout.matching(patterns)
    made = Parameters.zeros(Layout.of({spec.name: (spec.shape, spec.dtype) for spec in wanted}))
    for dtype, digest in content["parameters"].items():
        mine = [spec for spec in wanted if spec.dtype == dtype]
        width = np.dtype(dtype).itemsize
        spans = [(spec.offset * width, (spec.offset + spec.size) * width) for spec in mine]
        for spec, data in zip(mine, blobs.part(folder, digest, spans), strict=True):
            made[spec.name][...] = data.view(dtype).reshape(spec.shape)
    return layout, made


def model_of(name: str, content: Content, blobs: Blobs, folder: str) -> Model:
    """Return the model of a `content_of_model`, verified.

    Raises:
        RepositoryError: A blob is missing or damaged.
    """
    return from_record(
        Model,
        ModelRecord,
        content,
        name=name,
        parameters=_read_parameters(content["parameters"], blobs, folder),
        schema=Schema.from_json(content["schema"]),
        inputs=None if (inputs := content.get("inputs")) is None else Schema.from_json(inputs),
        fitted=_read_states(content["fitted"], blobs, folder),
        parents=tuple(content["parents"]),
        behind=tuple(content.get("behind", ())),
        samples={
            name: blobs.get(folder, value[_BLOB])[0]
            for name, value in content.get(_SAMPLES, {}).items()
        },
    )


def info_of(name: str, version: int, content: Content, tags: tuple[str, ...]) -> ModelInfo:
    """Return the listed fields of a model version, from its manifest."""
    parents = tuple(content["parents"])
    return from_record(
        ModelInfo, ModelRecord, content, name=name, version=version, tags=tags, parents=parents
    )


def digests(content: Content) -> set[str]:
    """Return the blobs that the manifest of a round or a model names."""
    states = content["state"] if "state" in content else content["fitted"]
    kept = [*states.values(), content.get(_SAMPLES, {})]
    values = [value for state in kept for value in state.values()]
    arrays = {value[_BLOB] for value in values if isinstance(value, dict)}
    return arrays | {*content["parameters"].values(), *content.get("bases", ())}


_Place: TypeAlias = tuple[str, str]


def _digest(parameters: Parameters, named: Mapping[str, str], blobs: Blobs, folder: str) -> str:
    """Return `Parameters.digest`, reusing the hashes of stored chunks."""
    found = hashlib.sha256(parameters.layout.digest.encode())
    for dtype in sorted(named):
        cut = pieces(parameters.vectors[dtype])
        sums = blobs.sums(folder, named[dtype]) if len(cut) > 1 else []
        if sums is None:
            return parameters.digest
        last = [hashlib.sha256(piece).digest() for piece in cut[-1:]]
        found.update(b"".join([*map(bytes.fromhex, sums), *last]))
    return found.hexdigest()


def _layout(named: Mapping[str, str], blobs: Blobs, folder: str) -> Layout:
    documents = [blobs.document(folder, digest) for digest in named.values()]
    return Layout.from_json(documents[0]["attributes"]["layout"] if documents else [])


def _read_parameters(named: Mapping[str, str], blobs: Blobs, folder: str) -> Parameters:
    stored = {dtype: blobs.get(folder, digest) for dtype, digest in named.items()}
    rows: list[list[Any]] = next((more["layout"] for _, more in stored.values()), [])
    return Parameters(Layout.from_json(rows), {dtype: a for dtype, (a, _) in stored.items()})


def _states(states: Mapping[str, State]) -> dict[_Place, Stored]:
    return {
        (f"of {owner}", name): (value, {})
        for owner, state in states.items()
        for name, value in state.items()
        if _is_array(value)
    }


def _named_states(states: Mapping[str, State], names: Mapping[_Place, str]) -> Content:
    return {
        owner: {
            name: {_BLOB: names[f"of {owner}", name]} if _is_array(value) else value
            for name, value in state.items()
        }
        for owner, state in states.items()
    }


def _rows(samples: State, names: Mapping[_Place, str]) -> Content:
    rows: Content = _named_states({_NO_OWNER: samples}, names)[_NO_OWNER]
    return rows


def _read_states(states: Content, blobs: Blobs, folder: str) -> dict[str, State]:
    return {
        owner: {
            name: blobs.get(folder, value[_BLOB])[0] if isinstance(value, dict) else value
            for name, value in state.items()
        }
        for owner, state in states.items()
    }


def _is_array(value: Vector | float | str) -> bool:
    if hasattr(value, "__dlpack__") and not isinstance(value, np.generic):
        return True
    if isinstance(value, np.generic | float | int | str):
        return False
    raise RepositoryError(
        f"a state that holds a {type(value).__name__} cannot be stored",
        exists="arrays, floats, integers and text can be stored",
        hint="change what the plugin's state() returns",
    )

"""A model in memory that several processes map: it is there once, however many serve it."""

from __future__ import annotations

import fcntl
import json
import mmap
import os
import struct
import weakref
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from aeros_core.arrays import Array, on_host
from aeros_core.messages import State
from aeros_core.parameters import Layout, Parameters
from aeros_core.records import Model
from aeros_core.schema import Schema

__all__ = ["ModelFile", "map_model"]

_ALIGNMENT = 64
"""Bytes to a multiple of which each array is laid out: a line of the processor's cache."""

_HEAD = struct.Struct("<Q")
"""At the start of the file: the length of its header in bytes."""

_PLAIN = ("name", "module", "transformers", "run", "round", "metrics", "versions")
_LISTS = ("parents", "behind")
"""Fields of `Model` that JSON has as they are, and those that it has as lists."""

_ARRAY = "$array"


def _seals() -> int:
    """Return the seals against any change of a file; only Linux has them."""
    return fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class ModelFile:
    """A model in a sealed file in memory (memfd), for `map_model` of other processes.

    A header in JSON, of its length, describes the model and its arrays; the arrays follow. The
    file has no name: it is gone when neither this object nor a map of it is left.

    Args:
        model: The model, verified.

    Raises:
        TypeError: Its description is more than JSON and arrays of plain numbers and texts.
        OSError: There is no memory for it.
    """

    def __init__(self, model: Model) -> None:
        arrays: list[Array] = []
        vectors = {d: _put(arrays, vector) for d, vector in model.parameters.vectors.items()}
        described = {name: getattr(model, name) for name in (*_PLAIN, *_LISTS)} | {
            "layout": model.parameters.layout.to_json(),
            "vectors": vectors,
            "schema": model.schema.to_json(),
            "inputs": None if model.inputs is None else model.inputs.to_json(),
            "fitted": {name: _state_to_json(arrays, s) for name, s in model.fitted.items()},
            "samples": _state_to_json(arrays, model.samples),
        }
        kinds = [[array.dtype.str, array.shape] for array in arrays]
        header = json.dumps({"model": described, "arrays": kinds}).encode()
        self._descriptor = os.memfd_create("aeros-model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        weakref.finalize(self, os.close, self._descriptor)
        with open(self._descriptor, "wb", closefd=False) as file:
            _write(file, header, arrays)
        fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, _seals())

    def fileno(self) -> int:
        """Return the descriptor of the file."""
        return self._descriptor


def _write(file: BinaryIO, header: bytes, arrays: list[Array]) -> None:
    file.write(_HEAD.pack(len(header)) + header)
    for array in arrays:
        file.seek(_aligned(file.tell()))
        file.write(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    file.truncate(_aligned(file.tell()))


def _aligned(place: int) -> int:
    return -(-place // _ALIGNMENT) * _ALIGNMENT


def _put(arrays: list[Array], vector: Any) -> int:
    """Add an array to those of the file, and return its number."""
    array = on_host(vector)
    if array.dtype.hasobject or np.dtype(array.dtype.str) != array.dtype:
        raise TypeError(f"an array of {array.dtype} cannot be mapped")
    arrays.append(array)
    return len(arrays) - 1


def _state_to_json(arrays: list[Array], state: State) -> dict[str, Any]:
    return {
        name: {_ARRAY: _put(arrays, value)} if hasattr(value, "__dlpack__") else value
        for name, value in state.items()
    }


def map_model(descriptor: int) -> Model:
    """Return the model of a `ModelFile`, its arrays mapped and not copied; closes the descriptor.

    The map is private: what a module writes into its parameters becomes a page of this process,
    and no other sees it.

    Raises:
        ValueError: The file is not sealed, so that others could change it.
    """
    with open(descriptor, "rb") as file:
        if fcntl.fcntl(file, fcntl.F_GET_SEALS) & _seals() != _seals():
            raise ValueError("the file of a model is not sealed")
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    (length,) = _HEAD.unpack_from(memory)
    place = _HEAD.size + length
    header = json.loads(memory[_HEAD.size : place])
    arrays: list[Array] = []
    for dtype, shape in header["arrays"]:
        arrays.append(np.ndarray(shape, dtype, memory, _aligned(place)))
        place = _aligned(place) + arrays[-1].nbytes
    return _model(header["model"], arrays)


def _model(described: Mapping[str, Any], arrays: list[Array]) -> Model:
    vectors = {dtype: arrays[number] for dtype, number in described["vectors"].items()}
    inputs = described["inputs"]
    plain: dict[str, Any] = {name: described[name] for name in _PLAIN}
    plain |= {name: tuple(described[name]) for name in _LISTS}
    return Model(
        **plain,
        parameters=Parameters(Layout.from_json(described["layout"]), vectors),
        schema=Schema.from_json(described["schema"]),
        inputs=None if inputs is None else Schema.from_json(inputs),
        fitted={name: _state(state, arrays) for name, state in described["fitted"].items()},
        samples=_state(described["samples"], arrays),
    )


def _state(state: Mapping[str, Any], arrays: list[Array]) -> dict[str, Any]:
    return {
        name: arrays[value[_ARRAY]] if isinstance(value, dict) else value
        for name, value in state.items()
    }

"""Tensors that an ONNX file keeps in other files: read from its own folder, never from elsewhere.

Models above 2 GB, which is what protobuf can hold, keep their tensors in files beside them
(`ONNX external data <https://onnx.ai/onnx/repo-docs/ExternalData.html>`_).
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from aeros_core.arrays import Array
from aeros_core.errors import AccessError, ConfigError, RepositoryError
from aeros_core.files import decompression, safe_open
from aeros_onnx.session import LARGE
from aeros_onnx.traversal import element_count, is_external, tensors

__all__ = ["read"]

_DTYPES: dict[int, np.dtype[Any]] = {
    kind: np.dtype(helper.tensor_dtype_to_np_dtype(kind)).newbyteorder("<")
    for kind in (
        TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BOOL,
        TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64,
        TensorProto.UINT8, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64,
    )
}  # fmt: skip
"""The dtypes that numpy has too, as they lie in a file."""

_LARGEST_KEPT = 2**24
"""Bytes of a constant within a node that is made a part of the graph itself."""


@dataclass(slots=True)
class _Folder:
    """The folder of a model, and the files of it that are mapped.

    Args:
        path: The folder.
        model: What the model's file is called in messages.
    """

    path: Path
    model: str
    files: dict[str, memoryview] = field(default_factory=dict)
    on_disk: int = 0
    taken: int = 0

    def array_of(self, tensor: TensorProto) -> Array:
        """Return what a tensor holds, mapped from its file.

        Raises:
            ConfigError: The file lies outside the folder, is a link or no regular file.
            RepositoryError: It is not there, or does not hold a tensor of this shape.
            DataError: All tensors together take far more memory than the files have bytes.
        """
        told = {entry.key: entry.value for entry in tensor.external_data}
        location = told.get("location", "")
        if location not in self.files:
            self.files[location] = self._mapped(location, tensor.name)
        data, dtype = self.files[location], self._dtype(tensor)
        shape, count = tuple(tensor.dims), element_count(tensor)
        size = count * dtype.itemsize
        offset, length = _number(told.get("offset", "0")), _number(told.get("length", str(size)))
        if min(size, offset) < 0 or length != size or offset + size > len(data):
            raise RepositoryError(
                f"{self.model}: file '{location}' does not hold tensor '{tensor.name}' of shape"
                f" {list(shape)}",
                hint="bring both from their origin again",
            )
        self.taken += size
        decompression.check(f"what {self.model} keeps in other files", self.taken, self.on_disk)
        return np.frombuffer(data, dtype, count, offset if size else 0).reshape(shape)

    def _dtype(self, tensor: TensorProto) -> np.dtype[Any]:
        kind = tensor.data_type
        if kind in _DTYPES:
            return _DTYPES[kind]
        names = TensorProto.DataType
        name = names.Name(kind).lower() if kind in names.values() else "unknown"
        raise ConfigError(
            f"{self.model} keeps tensor '{tensor.name}' of dtype {name} in another file",
            exists=f"dtypes in other files: {', '.join(str(d) for d in _DTYPES.values())}",
            hint="convert it where it comes from, to float32 for instance",
        )

    def _mapped(self, location: str, tensor: str) -> memoryview:
        where = f"{self.model} keeps tensor '{tensor}' in '{location[:200]}'"
        parts = PurePosixPath(location).parts
        if not parts or "\0" in location or location.startswith("/") or ".." in parts:
            raise ConfigError(
                f"{where}, outside its own folder, which is not opened",
                hint="save it again: onnx.save(onnx.load(FILE), OTHER, save_as_external_data=True)",
            )
        root = str(self.path.resolve())
        try:
            number = safe_open.open_regular(str(Path(root, *parts)), root, f"'{location}'")
        except AccessError as error:
            raise ConfigError(
                f"{where}, which is a link and is not followed",
                hint="copy it in place of the link: cp --dereference",
            ) from error
        except OSError as error:
            raise RepositoryError(
                f"{where}, which cannot be read: {error.strerror or error}",
                hint=f"put it into the folder of {self.model}",
            ) from error
        with os.fdopen(number, "rb") as file:
            found = os.fstat(number)
            self.on_disk += min(found.st_size, 512 * found.st_blocks)
            if not found.st_size:
                return memoryview(b"")
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def read(proto: ModelProto, path: Path) -> Mapping[str, Array]:
    """Take the tensors that lie in other files out of a graph; return its initialisers by name.

    Large initialisers of the graph are removed from it and returned, mapped from their file; small
    ones, and constants within nodes, become a part of the graph.

    Args:
        proto: The model; changed.
        path: Its file.

    Raises:
        ConfigError: A file lies outside the model's folder, or is a link.
        RepositoryError: A file is missing or too short, or does not hold a tensor of this shape.
        DataError: The tensors take far more memory than their files have bytes.
    """
    folder = _Folder(path.parent, str(path))
    outside = [tensor for tensor in proto.graph.initializer if is_external(tensor)]
    arrays = {tensor.name: folder.array_of(tensor) for tensor in outside}
    found = {name: array for name, array in arrays.items() if array.nbytes >= LARGE}
    if found:
        kept = [tensor for tensor in proto.graph.initializer if tensor.name not in found]
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(kept)
        _drop_inputs(proto, found)
    for tensor in tensors(proto):
        if is_external(tensor):
            _embed(tensor, folder.array_of(tensor), str(path))
    return found


def _drop_inputs(proto: ModelProto, names: Mapping[str, Array]) -> None:
    """Remove the inputs of these names: before version 4 each initialiser was one too."""
    inputs = [value for value in proto.graph.input if value.name not in names]
    if len(inputs) < len(proto.graph.input):
        del proto.graph.input[:]
        proto.graph.input.extend(inputs)
        proto.ir_version = max(proto.ir_version, 4)


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else -1


def _embed(tensor: TensorProto, array: Array, where: str) -> None:
    if array.nbytes > _LARGEST_KEPT:
        raise ConfigError(
            f"{where} keeps '{tensor.name}', a constant within a node, in another file, and it has"
            f" {array.nbytes:,} bytes",
            exists=f"constants up to {_LARGEST_KEPT:,} bytes, initialisers of any size",
            hint="make it an initialiser of the graph",
        )
    tensor.raw_data = array.tobytes()
    tensor.ClearField("external_data")
    tensor.ClearField("data_location")

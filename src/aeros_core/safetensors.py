"""Models as safetensors files, which most other libraries read.

Written here and not through a library: the format is the length of a JSON header, the
header and the tensors, and the vectors are written from where they lie.

Specification: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import math
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.parameters import Array, Parameters
from aeros_core.records import Model
from aeros_core.schema import Schema

__all__ = ["load", "save"]

_NAMES = {
    "bool": "BOOL",
    "bfloat16": "BF16",
    "complex64": "C64",
    **{f"float{n}": f"F{n}" for n in (16, 32, 64)},
    **{f"int{n}": f"I{n}" for n in (8, 16, 32, 64)},
    **{f"uint{n}": f"U{n}" for n in (8, 16, 32, 64)},
}
_METADATA = "__metadata__"
_DTYPES = {word: name for name, word in _NAMES.items()}
_NONSENSE = (
    ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError,
)  # fmt: skip
_LONGEST = 100_000_000
"""Bytes of a header, as the library bounds it."""


def save(path: Path, model: Model) -> int:
    """Write a model's parameters, and as metadata what it is; return the file's bytes.

    The file appears as a whole or not at all, in place of one that is there.

    Args:
        path: The file.
        model: Its parameters lie in host memory.

    Raises:
        ConfigError: The format has no word for a tensor's dtype or name.
        RepositoryError: The file cannot be written.
    """
    tensors = _ordered(model.parameters)
    head = _header(tensors, _described(model))
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with aside.open("xb") as file:
            file.write(head)
            for array in tensors.values():
                file.write(array.reshape(-1).view(np.uint8).data)
            file.flush()
            os.fsync(file.fileno())
            nbytes = file.tell()
        aside.replace(path)
    except OSError as error:
        raise RepositoryError(
            f"{path} could not be written: {error.strerror or error}", hint="choose another file"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return nbytes


def load(path: Path, name: str) -> Model:
    """Read a file as a model of this name; what `save` said of it comes back too.

    The tensors have to fill the file without gaps and overlaps, as the format demands.
    Those of bfloat16 and of float8 (E4M3, E5M2), which numpy does not have, become float32
    with the same values.

    Raises:
        RepositoryError: There is no such file, or it is damaged.
        ConfigError: A tensor has a dtype that numpy has no word for.
    """
    try:
        header, data = _parted(memoryview(path.read_bytes()))
        metadata = header.pop(_METADATA, {})
        return Model(name, Parameters.of(_tensors(header, data)), **_told(metadata))
    except OSError as error:
        raise RepositoryError(f"{path} cannot be read: {error.strerror or error}") from error
    except _NONSENSE as error:
        raise RepositoryError(
            f"{path} is no whole safetensors file: {str(error)[:200]}",
            hint="bring it from its origin again",
        ) from error


def _parted(data: memoryview) -> tuple[dict[str, Any], memoryview]:
    length = int.from_bytes(data[:8], "little")
    if length > min(_LONGEST, len(data) - 8):
        raise ValueError("its header is longer than the file")
    return json.loads(bytes(data[8 : 8 + length])), data[8 + length :]


def _tensors(header: Mapping[str, Any], data: memoryview) -> dict[str, Array]:
    tensors: dict[str, Array] = {}
    at = 0
    for name, told in sorted(header.items(), key=lambda item: item[1]["data_offsets"]):
        name.encode()  # half a surrogate pair is no text
        start, end = told["data_offsets"]
        shape = [*told["shape"]]
        if start != at or end < start or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError(f"tensor {name!r} does not lie where the one before ends")
        array = _read(name, told["dtype"], data[start:end])
        if end > len(data) or math.prod(shape) != array.size:
            raise ValueError(f"tensor {name!r} has not the bytes of its shape")
        tensors[name] = array.astype(array.dtype.newbyteorder("=")).reshape(shape)
        at = end
    if at != len(data):
        raise ValueError("there are bytes behind the last tensor")
    return tensors


def _read(name: str, word: str, data: memoryview) -> Array:
    """Return a flat tensor; one of a float that numpy does not have as float32, exactly."""
    if word == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    if word == "F8_E5M2":
        halves = np.frombuffer(data, np.uint8).astype(np.uint16) << 8
        return halves.view(np.float16).astype(np.float32)
    if word == "F8_E4M3":
        return _e4m3()[np.frombuffer(data, np.uint8)]
    return np.frombuffer(data, _dtype(name, word))


def _e4m3() -> Array:
    """Return the 256 values of float8 E4M3 (OCP OFP8, section 5.1): finite, or NaN."""
    code = np.arange(256)
    exponent, fraction = code >> 3 & 15, code & 7
    normal = np.ldexp(1 + fraction / 8, exponent - 7)
    values = np.where(exponent == 0, np.ldexp(fraction / 8, -6), normal)
    values[(code & 127) == 127] = np.nan
    return np.where(code < 128, values, -values).astype(np.float32)


def _dtype(name: str, word: str) -> np.dtype[Any]:
    try:
        return np.dtype(_DTYPES[word]).newbyteorder("<")
    except (LookupError, TypeError) as error:
        raise ConfigError(
            f"tensor {name!r} is of dtype {word}, which numpy does not have",
            exists=", ".join(sorted(_DTYPES)),
            hint="convert it where it comes from",
        ) from error


def _told(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Return what a file of ours says of its model; nothing of one from elsewhere."""
    told = {key.removeprefix("aeros."): text for key, text in metadata.items()}
    schema = json.loads(told.get("schema", "null"))
    return {
        "schema": Schema.from_json(schema) if schema else Schema(()),
        "module": _mapping(told.get("module", "{}")),
        "metrics": {k: float(v) for k, v in _mapping(told.get("metrics", "{}")).items()},
        "round": int(told.get("round", 0)),
        "parents": (told["digest"],) if "digest" in told else (),
    }


def _mapping(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise TypeError(f"its metadata say {text[:80]!r}, which is no mapping")
    return found


def _ordered(parameters: Parameters) -> dict[str, Array]:
    """Return little-endian tensors, wide ones first: each then lies at a multiple of its width."""
    for spec in parameters.layout.tensors:
        if spec.dtype not in _NAMES or spec.name == _METADATA:
            raise ConfigError(
                f"tensor {spec.name!r} of dtype {spec.dtype} has no place in a safetensors file",
                exists=f"dtypes {', '.join(sorted(_NAMES))}; any name but {_METADATA}",
            )
    items = sorted(parameters.items(), key=lambda item: -item[1].dtype.itemsize)
    return {name: np.asarray(a, a.dtype.newbyteorder("<"), order="C") for name, a in items}


def _header(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    header: dict[str, Any] = {_METADATA: metadata}
    end = 0
    for name, array in tensors.items():
        start, end = end, end + array.nbytes
        header[name] = {
            "dtype": _NAMES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _described(model: Model) -> dict[str, str]:
    described = {
        "name": model.name,
        "digest": model.parameters.digest,
        "run": model.run,
        "round": str(model.round),
        "metrics": json.dumps(dict(model.metrics)),
        "module": json.dumps(dict(model.module)),
        "schema": json.dumps(model.schema.to_json()),
    }
    return {f"aeros.{key}": text for key, text in described.items()}

"""Models as safetensors files, which most other libraries read.

The library `safetensors` reads and writes them, and checks that the tensors fill the file
without gaps and overlaps. Added here: names that appear twice in the header, of which the
library keeps the last, are rejected, and floats that numpy does not have become float32.

Specification: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save_file

from aeros_core.arrays import Array
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.files import strict_json
from aeros_core.files.atomic_write import replacing
from aeros_core.parameters import Parameters
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
_WIDENED = ("BF16", "F8_E5M2", "F8_E4M3")
_NONSENSE = (
    SafetensorError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError,
    RecursionError,
)  # fmt: skip
_LONGEST = 100_000_000
"""Bytes of a header, as the library bounds it."""


def save(path: Path, model: Model) -> int:
    """Write a model's parameters, and its description as metadata; return the file's bytes.

    The file appears as a whole or not at all, in place of one that is there.

    Args:
        path: The file.
        model: Its parameters lie in host memory.

    Raises:
        ConfigError: The format has no word for a tensor's dtype or name.
        RepositoryError: The file cannot be written.
    """
    tensors = _writable(model.parameters)
    with replacing(path, SafetensorError) as file:
        save_file(tensors, file, _described(model))
        return file.stat().st_size


def load(path: Path, name: str) -> Model:
    """Read a file as a model of this name, with the description that `save` gave it.

    Tensors of bfloat16 and of float8 (E4M3, E5M2), which numpy does not have, become float32
    with the same values. Tensors are in the order of the model that was saved, in a file from
    elsewhere in that of the file.

    Raises:
        RepositoryError: There is no such file, or it is damaged.
        ConfigError: A tensor has a dtype that numpy has no word for.
    """
    try:
        data = path.read_bytes()
        header = _header(data)
        metadata = header.pop(_METADATA, {})
        _check_dtypes(header)
        tensors = {name: _tensor(found) for name, found in _parts(data)}
        order = _order(header, metadata)
        parameters = Parameters.of({name: tensors[name] for name in order})
        return Model(name, parameters, **_told(metadata))
    except OSError as error:
        raise RepositoryError(f"{path} cannot be read: {error.strerror or error}") from error
    except _NONSENSE as error:
        raise RepositoryError(
            f"{path} is no whole safetensors file: {str(error)[:200]}",
            hint="bring it from its origin again",
        ) from error


def _header(data: bytes) -> dict[str, Any]:
    """Return the header, in which each name appears once.

    Raises:
        ValueError: It is longer than the file, not JSON, or names something twice.
    """
    length = int.from_bytes(data[:8], "little")
    if length > min(_LONGEST, len(data) - 8):
        raise ValueError("its header is longer than the file")
    header: dict[str, Any] = strict_json.loads(data[8 : 8 + length].decode())
    return header


def _parts(data: bytes) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Return name, dtype, shape and bytes of each tensor, in no order."""
    found: Iterable[tuple[str, Mapping[str, Any]]] = deserialize(data)  # type: ignore[no-untyped-call]
    return found


def _order(header: Mapping[str, Any], metadata: Mapping[str, str]) -> Iterable[str]:
    """Return the names of the tensors in the order that they are to have."""
    told: list[str] = json.loads(metadata.get("aeros.tensors", "[]"))
    if len(told) == len(header) and {*told} == {*header}:
        return told
    return sorted(header, key=lambda name: (header[name]["data_offsets"], name))


def _check_dtypes(header: Mapping[str, Any]) -> None:
    for name, told in header.items():
        if told["dtype"] not in (*_DTYPES, *_WIDENED):
            raise ConfigError(
                f"tensor {name!r} is of dtype {told['dtype']}, which numpy does not have",
                exists=", ".join(sorted(_DTYPES)),
                hint="convert it where it comes from",
            )


def _tensor(found: Mapping[str, Any]) -> Array:
    """Return a tensor that the library has read; its memory may be written."""
    flat = _flat(found["dtype"], found["data"])
    return flat.astype(flat.dtype.newbyteorder("="), copy=False).reshape(found["shape"])


def _flat(word: str, data: bytes) -> Array:
    """Return a flat tensor; one of a float that numpy does not have as float32, exactly."""
    if word == "BF16":
        return (np.frombuffer(data, "<u2").astype(np.uint32) << 16).view(np.float32)
    if word == "F8_E5M2":
        halves = np.frombuffer(data, np.uint8).astype(np.uint16) << 8
        return halves.view(np.float16).astype(np.float32)
    if word == "F8_E4M3":
        return _e4m3()[np.frombuffer(data, np.uint8)]
    return np.frombuffer(data, np.dtype(_DTYPES[word]).newbyteorder("<"))


def _e4m3() -> Array:
    """Return the 256 values of float8 E4M3 (OCP OFP8, section 5.1): finite, or NaN."""
    code = np.arange(256)
    exponent, fraction = code >> 3 & 15, code & 7
    normal = np.ldexp(1 + fraction / 8, exponent - 7)
    values = np.where(exponent == 0, np.ldexp(fraction / 8, -6), normal)
    values[(code & 127) == 127] = np.nan
    return np.where(code < 128, values, -values).astype(np.float32)


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


def _writable(parameters: Parameters) -> dict[str, Array]:
    """Return contiguous little-endian tensors, which the library takes as they lie.

    Raises:
        ConfigError: A tensor has a dtype or a name that the format does not have.
    """
    for spec in parameters.layout.tensors:
        if spec.dtype not in _NAMES or spec.name == _METADATA:
            raise ConfigError(
                f"tensor {spec.name!r} of dtype {spec.dtype} has no place in a safetensors file",
                exists=f"dtypes {', '.join(sorted(_NAMES))}; any name but {_METADATA}",
            )
    items = parameters.items()
    return {name: np.asarray(a, a.dtype.newbyteorder("<"), order="C") for name, a in items}


def _described(model: Model) -> dict[str, str]:
    described = {
        "name": model.name,
        "digest": model.parameters.digest,
        "run": model.run,
        "round": str(model.round),
        "metrics": json.dumps(dict(model.metrics)),
        "module": json.dumps(dict(model.module)),
        "schema": json.dumps(model.schema.to_json()),
        "tensors": json.dumps([spec.name for spec in model.parameters.layout.tensors]),
    }
    return {f"aeros.{key}": text for key, text in described.items()}

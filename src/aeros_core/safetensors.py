"""Models as safetensors files, which most other libraries read.

Written here and not through a library: the format is the length of a JSON header, the
header and the tensors, and the vectors are written from where they lie.

Specification: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.parameters import Array, Parameters
from aeros_core.records import Model

__all__ = ["save"]

_NAMES = {
    "bool": "BOOL",
    "bfloat16": "BF16",
    "complex64": "C64",
    **{f"float{n}": f"F{n}" for n in (16, 32, 64)},
    **{f"int{n}": f"I{n}" for n in (8, 16, 32, 64)},
    **{f"uint{n}": f"U{n}" for n in (8, 16, 32, 64)},
}
_METADATA = "__metadata__"


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

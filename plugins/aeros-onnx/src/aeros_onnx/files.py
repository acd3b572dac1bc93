"""Models as ONNX files."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.formats import Compared
from aeros_core.records import Model
from aeros_onnx import reading
from aeros_onnx.graph import packed
from aeros_onnx.parts import split
from aeros_onnx.session import Running
from aeros_onnx.writing import proven

__all__ = ["load", "save", "save_compared", "split"]


def load(path: Path, name: str) -> Model:
    """Read a file as a model of this name; what `save` said of it comes back too.

    Raises:
        RepositoryError: It cannot be read, is damaged, or onnxruntime cannot run it.
        ConfigError: It needs other files, operators or dtypes that are not known.
    """
    proto = reading.read(path)
    Running(proto, fold=False)
    return packed(proto, name)


def save(path: Path, model: Model) -> int:
    """Write a model as `save_compared` does; return the file's bytes."""
    return save_compared(path, model)[0]


def save_compared(path: Path, model: Model) -> tuple[int, Compared | None]:
    """Write a model as a graph, compared with the original on its samples and on drawn rows.

    The file appears as a whole or not at all, in place of one that is there.

    Returns:
        The file's bytes, and what was compared; None for a model that is a graph itself.

    Raises:
        ConfigError: The model cannot be written as ONNX.
        DataError: The graph does not answer as the model does.
        RepositoryError: The file cannot be written.
    """
    proto, compared = proven(model)
    if proto.ByteSize() > reading.LARGEST:
        raise ConfigError(
            f"model '{model.name}' is larger than an ONNX file can be, {reading.LARGEST:,} bytes",
            hint="export it as safetensors",
        )
    data = proto.SerializeToString(deterministic=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with aside.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError as error:
        raise RepositoryError(
            f"{path} could not be written: {error.strerror or error}", hint="choose another file"
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return len(data), compared

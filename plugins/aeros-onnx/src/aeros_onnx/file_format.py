"""Models as ONNX files."""

from __future__ import annotations

from pathlib import Path

from aeros_core.errors import ConfigError
from aeros_core.files.atomic_write import replacing
from aeros_core.models.formats import Compared
from aeros_core.records import Model
from aeros_onnx import validation
from aeros_onnx.export import proven
from aeros_onnx.importing.loading import load, load_graph
from aeros_onnx.split import split

__all__ = ["load", "load_graph", "save", "save_compared", "split"]


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
    if proto.ByteSize() > validation.LARGEST:
        raise ConfigError(
            f"model '{model.name}' is larger than an ONNX file can be, "
            f"{validation.LARGEST:,} bytes",
            hint="export it as safetensors",
        )
    data = proto.SerializeToString(deterministic=True)
    with replacing(path) as file:
        file.write_bytes(data)
    return len(data), compared

"""Models as PyTorch files of a ``state_dict``: ``{name: tensor}``.

Such files are pickles. They are read with ``weights_only=True`` alone, which builds tensors
and containers and calls nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.files.atomic_write import replacing
from aeros_core.parameters import Parameters
from aeros_core.records import Model
from aeros_core.schema import Schema

__all__ = ["load", "save"]


def load(path: Path, name: str) -> Model:
    """Read a file as a model of this name; it tells nothing of schema and module.

    Raises:
        RepositoryError: It cannot be read, or not without running code.
        ConfigError: It holds something else than tensors by name, or of a dtype or kind
            that numpy does not have.
    """
    try:
        held = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        said = error.strerror if error.filename else "it is damaged"  # or torch's own, of no file
        raise RepositoryError(f"{path} cannot be read: {said}") from error
    except Exception as error:
        raise RepositoryError(
            f"{path} cannot be read as tensors alone: {_reason(error)}",
            hint="where it comes from: torch.save(model.state_dict(), FILE)",
        ) from error
    if not isinstance(held, Mapping) or not all(
        isinstance(key, str) and isinstance(tensor, torch.Tensor) for key, tensor in held.items()
    ):
        raise ConfigError(
            f"{path} holds no tensors by name",
            hint="where it comes from: torch.save(model.state_dict(), FILE)",
        )
    try:
        tensors = {key: np.array(tensor.detach().numpy()) for key, tensor in held.items()}
    except (TypeError, RuntimeError) as error:
        raise ConfigError(f"{path} holds a tensor that numpy cannot: {error}") from error
    return Model(name, Parameters.of(tensors), Schema(()))


def _reason(error: Exception) -> str:
    """Return why PyTorch refuses a file, without its advice to run what the file holds."""
    text = str(error).strip()
    if found := re.search(r"(Unsupported|Trying to load) .*?(?=\. |\.?\n|\.?$)", text):
        return found[0]
    said = text.partition("\n")[0][:200] or "it is empty"
    return "it holds something else" if said.startswith("Weights only") else said


def save(path: Path, model: Model) -> int:
    """Write a model's parameters; return the file's bytes.

    The file appears as a whole or not at all, in place of one that is there.

    Raises:
        RepositoryError: It cannot be written.
    """
    tensors = {name: torch.from_numpy(np.array(array)) for name, array in model.parameters.items()}
    with replacing(path) as aside:
        with aside.open("wb") as file:  # given a path, torch writes its name into the file
            torch.save(tensors, file)
        return aside.stat().st_size

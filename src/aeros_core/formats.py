"""Files that a model can be read from, and written to.

Safetensors is the core's own; a plugin adds another in the entry-point group
``aeros.formats``, naming a module with the same two functions, ``load`` and ``save``::

    [project.entry-points."aeros.formats"]
    state_dict = "aeros_torch.state_dict"
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from aeros_core.errors import ConfigError, PluginError
from aeros_core.installed import entry_points

if TYPE_CHECKING:  # numpy comes with it
    from collections.abc import Sequence

    from aeros_core.records import Model

__all__ = ["Compared", "Compares", "Format", "Splits", "choose"]

GROUP = "aeros.formats"
_SUFFIXES = {
    ".safetensors": "safetensors",
    ".pt": "state_dict",
    ".pth": "state_dict",
    ".onnx": "onnx",
}
_PROVIDERS = {"state_dict": "pip install aeros-torch", "onnx": "pip install aeros-onnx"}


class Format(Protocol):
    """A module that reads and writes files of one format."""

    def load(self, path: Path, name: str) -> Model:
        """Read a file as a model of this name, without running what it holds."""

    def save(self, path: Path, model: Model) -> int:
        """Write a model; return the file's bytes."""


@dataclass(frozen=True, slots=True)
class Compared:
    """What a model in another form was compared with the original on.

    Args:
        stored: Rows that came with the model.
        drawn: Rows that were drawn by its schema.
        apart: The largest difference of a number.
    """

    stored: int
    drawn: int
    apart: float


@runtime_checkable
class Compares(Protocol):
    """A format whose files answer, so that they can be compared with the model."""

    def save_compared(self, path: Path, model: Model) -> tuple[int, Compared | None]:
        """Write a model that answers as the original does, on its samples and on drawn rows.

        Returns:
            The file's bytes, and what was compared; None where the model is such a file itself.

        Raises:
            DataError: It does not answer so; nothing is written.
        """


@runtime_checkable
class Splits(Protocol):
    """A format whose module can also part a model in two."""

    def split(self, model: Model, layer: str, *, early: bool = False) -> Sequence[Model]:
        """Return the stages, of which each takes what the one before answers.

        Args:
            model: The whole.
            layer: The last layer of the first stage.
            early: Whether the first also answers by itself, at the model's early exit.
        """


def choose(path: str, named: str | None) -> Format:
    """Return the format of this name, or the one that a file's name tells.

    Raises:
        ConfigError: Neither names one.
        PluginError: No installed package has it, or it cannot be imported.
    """
    name = named or _SUFFIXES.get(Path(path).suffix)
    if name is None:
        raise ConfigError(
            f"{path} does not tell its format", exists=", ".join(_SUFFIXES), hint="--format NAME"
        )
    if name == "safetensors":
        from aeros_core import safetensors

        return safetensors
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in found:
        raise PluginError(
            f"format {name} does not exist",
            exists=", ".join(["safetensors", *sorted(found)]),
            hint=_PROVIDERS.get(name, "--format safetensors"),
        )
    try:
        format_: Format = found[name].load()
    except Exception as error:
        raise PluginError(
            f"format {name} cannot be used: {type(error).__name__}: {error}",
            hint="aeros plugins shows what is installed",
        ) from error
    return format_

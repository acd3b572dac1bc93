"""Files that a model can be read from, and written to.

Safetensors is the core's own; plugins register others with the hook ``aeros_formats``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from aeros_core.errors import ConfigError, PluginError
from aeros_core.hooks.extensions import Format
from aeros_core.plugins import discovery, extension_lookup
from aeros_core.plugins.registry import Provided, Registry

if TYPE_CHECKING:  # numpy comes with it
    from collections.abc import Sequence

    from aeros_core.records import Model

__all__ = [
    "Compared",
    "Compares",
    "FormatModule",
    "LoadsGraphs",
    "Splits",
    "choose",
    "suffixes",
]

_ABSENT = {
    ".pt": ("state_dict", "aeros-torch"),
    ".pth": ("state_dict", "aeros-torch"),
    ".onnx": ("onnx", "aeros-onnx"),
}
"""Format and distribution of ours for suffixes that no installed plugin offers."""


@runtime_checkable
class FormatModule(Protocol):
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
class LoadsGraphs(Protocol):
    """A format whose files are graphs that compute, of which not each takes rows as they come."""

    def load_graph(
        self, path: Path, name: str, *, unbatched: bool = False
    ) -> tuple[Model, Sequence[str]]:
        """Read a file as a model of this name, without running code that it holds.

        Args:
            path: The file.
            name: Name of the model.
            unbatched: Whether the first dimensions of the graph are no rows: a row of a request
                is then all that the graph takes.

        Returns:
            The model, and how it differs from the file or takes its rows, one line each.
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


def suffixes(registry: Registry) -> list[str]:
    """Return how names of files end whose format is known, installed or not."""
    found = (suffix for each in _formats(registry) for suffix in _record(each).suffixes)
    return list(dict.fromkeys([".safetensors", ".onnx", ".pt", ".pth", *sorted(found)]))


def choose(path: str, named: str | None) -> FormatModule:
    """Return the format of this name, or the one whose suffix a file's name has.

    Raises:
        ConfigError: Neither names one.
        PluginError: No installed plugin has it, several have, or it cannot be imported.
    """
    registry = discovery.discover()
    name = named or _by_suffix(registry, path)
    distributions = dict(_ABSENT.values())
    asked = f"format {name}"
    found = extension_lookup.choose(
        registry, Format.group, name, asked, distributions.get(name, "")
    )
    module = extension_lookup.load(found, asked)
    if not isinstance(module, FormatModule):
        raise PluginError(
            f"{asked}: {found.record.target} must have the functions load and save",
            provider=str(found.plugin),
            hint=f"pip install --upgrade {found.plugin.distribution}",
        )
    return module


def _formats(registry: Registry) -> list[Provided]:
    names = extension_lookup.names(registry, Format.group)
    return [registry.extensions[Format.group, name] for name in names]


def _record(provided: Provided) -> Format:
    assert isinstance(provided.record, Format)  # noqa: S101 - of the group of formats
    return provided.record


def _by_suffix(registry: Registry, path: str) -> str:
    suffix = Path(path).suffix
    found = [each for each in _formats(registry) if suffix in _record(each).suffixes]
    if len(found) > 1:
        raise ConfigError(
            f"{path}: several formats have the suffix {suffix}",
            exists=", ".join(each.record.name for each in found),
            provider=" and ".join(str(each.plugin) for each in found),
            hint=f"--format {found[0].record.name}",
        )
    if found:
        return found[0].record.name
    if suffix in _ABSENT:
        return _ABSENT[suffix][0]
    raise ConfigError(
        f"{path} does not tell its format",
        exists=", ".join(suffixes(registry)),
        hint="--format NAME",
    )

"""A server as it is configured, as JSON for the workers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from aeros_core.config import build
from aeros_core.plugins import discovery
from aeros_core.plugins.single_files.plugin_files import digests, load_same
from aeros_serving.config import Serving, options_of
from aeros_serving.models.version import Loader

__all__ = ["Configuration"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """A server as it is configured: plain data alone.

    Args:
        repository: Configuration of the repository.
        inferencer: Configuration of the inferencer; None: the one that suits each model.
        options: Options of the server.
        plugin_files: SHA-256 of each file that ``--plugin`` named for the server, by its path;
            workers load the same ones.
    """

    repository: Mapping[str, Any]
    inferencer: Mapping[str, Any] | None
    options: Serving
    plugin_files: Mapping[str, str] = field(default_factory=digests)

    def loader(self) -> Loader:
        """Return what loads versions of models from the repository.

        Raises:
            ConfigError: The repository cannot be built as it is configured, or the file of a
                plugin has changed since the server started.
        """
        load_same(self.plugin_files)
        registry = discovery.discover()
        repository = build.build_part(registry, "repository", self.repository)
        return Loader(registry, repository, self.inferencer)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON has it; enums by name."""
        options = asdict(self.options)
        return {
            "repository": dict(self.repository),
            "inferencer": None if self.inferencer is None else dict(self.inferencer),
            "options": {k: v.name if isinstance(v, Enum) else v for k, v in options.items()},
            "plugin_files": dict(self.plugin_files),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Configuration:
        """Return it from what `to_json` made of it."""
        files = data["plugin_files"]
        return cls(data["repository"], data["inferencer"], options_of(data["options"]), files)

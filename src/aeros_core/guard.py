"""What Hydra itself would build from a configuration, held to a short list.

Hydra instantiates its launcher, sweeper and callbacks, and hands its logging sections to
`logging.config.dictConfig`, which calls whatever they name. A configuration file from a
stranger could run code through each of them, so everything below ``hydra`` is looked at
before Hydra sees it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from aeros_core.errors import ConfigError

__all__ = ["check"]

BUILDERS = ("hydra._internal.core_plugins.", "hydra_plugins.")
"""Launchers and sweepers: Hydra's own, and those of installed Hydra plugins."""

LOGGING = {
    "logging.StreamHandler",
    "logging.FileHandler",
    "logging.NullHandler",
    "colorlog.ColoredFormatter",
    "ext://sys.stdout",
    "ext://sys.stderr",
}


def check(hydra: DictConfig) -> None:
    """Refuse a ``hydra`` section that names anything but Hydra's own parts.

    Raises:
        ConfigError: It would run foreign code.
    """
    plain = OmegaConf.to_container(hydra, resolve=False)
    for path, value in _leaves(plain, "hydra"):
        section, leaf = path.split(".")[1], path.rpartition(".")[2]
        if section.endswith("_logging"):
            named = leaf in ("()", "class", "factory") or str(value).startswith("ext://")
            allowed = not named or value in LOGGING
        elif leaf == "_target_":
            allowed = section in ("launcher", "sweeper") and str(value).startswith(BUILDERS)
        else:
            allowed = True
        if not allowed:
            raise ConfigError(
                f"{path}={value} would run code that no plugin registered",
                exists="hydra/launcher and hydra/sweeper of installed Hydra plugins",
                hint="write a callback as an aeros plugin and choose it with callback=[<option>]",
            )


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield from _leaves(value, f"{path}.{key}")
    elif isinstance(node, list):
        for index, value in enumerate(node):
            yield from _leaves(value, f"{path}.{index}")
    else:
        yield path, node

"""What Hydra itself would build from a configuration, held to a short list.

Hydra instantiates its launcher, sweeper and callbacks, and hands its logging sections to
`logging.config.dictConfig`, which calls whatever they name. A configuration file from a
stranger could run code through each of them, so everything below ``hydra`` is looked at
before Hydra sees it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

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

OUTPUT = "${hydra.runtime.output_dir}/"
"""How a log file's path may begin: Hydra fills it in itself, later."""


def check(hydra: DictConfig) -> None:
    """Refuse a ``hydra`` section that names anything but Hydra's own parts.

    Raises:
        ConfigError: It would run foreign code.
    """
    for path, value in _leaves(hydra, "hydra"):
        if not _allowed(path, value):
            raise ConfigError(
                f"{path}={value} would run code that no plugin registered",
                exists="hydra/launcher and hydra/sweeper of installed Hydra plugins",
                hint="write a callback as an aeros plugin and choose it with callback=[<option>]",
            )


def _allowed(path: str, value: Any) -> bool:
    section, leaf, text = path.split(".")[1], path.rpartition(".")[2], str(value)
    if section == "callbacks":
        return False
    if section.endswith("_logging"):
        named = leaf in ("()", "class", "factory") or "ext:" in text or "${" in text
        return not named or text in LOGGING or text.startswith(OUTPUT)
    if leaf == "_target_":
        top = path in ("hydra.launcher._target_", "hydra.sweeper._target_")
        return top and text.startswith(BUILDERS)
    return section not in ("launcher", "sweeper") or "${" not in text


def _leaves(node: DictConfig | ListConfig, path: str) -> Iterator[tuple[str, Any]]:
    """Yield ``(path, value)``; what an interpolation leads to, where that is a plain value.

    One that leads to a mapping, or nowhere yet, stays as it was written: it could hide a
    ``_target_``.
    """
    keys: list[Any] = list(node) if isinstance(node, DictConfig) else list(range(len(node)))
    for key in keys:
        value = node._get_node(key)
        if OmegaConf.is_interpolation(node, key):
            yield f"{path}.{key}", _resolved(node, key)
        elif OmegaConf.is_missing(node, key) or not isinstance(value, DictConfig | ListConfig):
            yield f"{path}.{key}", value
        elif not value._is_none():
            yield from _leaves(value, f"{path}.{key}")


def _resolved(node: Any, key: Any) -> Any:
    written = str(node._get_node(key)._value())
    try:
        value = node[key]
    except OmegaConfBaseException:
        return written
    return written if isinstance(value, DictConfig | ListConfig) else value

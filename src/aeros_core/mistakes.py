"""What an error of Hydra or OmegaConf means to the person who typed."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from hydra.errors import (
    ConfigCompositionException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from aeros_core.errors import AerosError, ConfigError
from aeros_core.registry import Registry

__all__ = ["explain", "first_line"]


def explain(error: Exception, registry: Registry) -> AerosError:
    """Return what an error of Hydra or OmegaConf means to the person who typed."""
    if isinstance(error, AerosError):
        return error
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        if group in {g for g, _ in registry.options} | set(_roles()):
            return registry.missing(group, name)
        return _unknown_file(group, name, error.options or [])
    cause = error.__cause__ if isinstance(error, ConfigCompositionException) else error
    if isinstance(cause, OmegaConfBaseException):
        return _wrong_value(error, cause)
    if isinstance(error, OverrideParseException):
        return ConfigError(
            f"'{error.override}' cannot be read as KEY=VALUE",
            hint="for instance task.rounds=3, or \"KEY='VALUE'\" around other signs than letters,"
            " digits and _-./:@%+",
        )
    return ConfigError(first_line(error), hint="aeros run --help")


def _roles() -> Iterator[str]:
    from aeros_core.hookspecs import GROUPS

    yield from GROUPS.values()


def _unknown_file(group: str, name: str, options: Sequence[str]) -> ConfigError:
    close = difflib.get_close_matches(name, options, n=1)
    return ConfigError(
        f"{group}={name} does not exist" if group else f"no configuration is called {name}",
        exists=", ".join(sorted(options)),
        hint=f"{group}={close[0]}" if close else "aeros run --help shows the groups",
    )


def _wrong_value(error: Exception, cause: OmegaConfBaseException) -> ConfigError:
    key = str(cause.full_key or "")
    parent = cause.parent_node
    names = [str(k) for k in parent] if isinstance(parent, DictConfig) else []
    names = [name for name in names if name != "hydra" and not name.startswith("_")]
    leaf = key.rpartition(".")[2]
    unresolved = isinstance(cause, InterpolationResolutionError)
    if names and leaf not in names and not unresolved:
        prefix = key.rpartition(".")[0]
        close = difflib.get_close_matches(leaf, names, n=1)
        nearest = f"{prefix}.{close[0]}" if prefix and close else "".join(close)
        return ConfigError(
            f"option '{key}' does not exist",
            exists=", ".join(names),
            hint=f"{nearest}=<value>" if close else "aeros run --cfg job shows every option",
        )
    return ConfigError(
        f"option '{key}': {first_line(cause)}" if key else first_line(error),
        hint=f"{key}=<value of that type>" if key else "aeros run --help",
    )


def first_line(error: BaseException) -> str:
    """Return the first line of a message, and the second where the first only leads to it."""
    lines = (str(error) or type(error).__name__).strip().splitlines()
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]

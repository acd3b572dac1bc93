"""What an error of Hydra or OmegaConf means to the person who typed."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator, Sequence
from typing import get_origin

from hydra.errors import (
    ConfigCompositionException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, EnumNode
from omegaconf.errors import InterpolationResolutionError, OmegaConfBaseException

from aeros_core.errors import AerosError, ConfigError, PluginError
from aeros_core.plugins.registry import Registry, nearest

__all__ = ["REFUSALS", "explain", "first_line", "unimportable"]

REFUSALS = (
    ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError,
    ValueError, re.error,
)  # fmt: skip
"""What Hydra, OmegaConf and their parsers raise, beside errors of their own, for odd input."""


def explain(error: Exception, registry: Registry) -> AerosError:
    """Return what an error of Hydra or OmegaConf means to the person who typed."""
    if isinstance(error, AerosError):
        return error
    if isinstance(error, MissingConfigException) and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        hydras = group.startswith("hydra/") and (group, name) not in registry.clashes
        if group in {g for g, _ in registry.options} | set(_roles()) and not hydras:
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
    if twice := re.search(r"Multiple values for (\w+)|(\w+)\S* appears more than", str(error)):
        group = twice[1] or twice[2]
        return ConfigError(f"{group} is chosen already", hint=f"{group}=<option>, without a +")
    if said := _FILE.match(str(error)):
        return ConfigError(
            f"{said['file']}: option '{said['key']}': {said['why']}",
            hint=f"{said['key']}: <value of that type> in {said['file']}",
        )
    return ConfigError(first_line(error), hint="aeros run --help")


_FILE = re.compile(
    r"In '(?P<file>[^']+)': \w+ raised while composing config:\n(?P<why>[^\n]*)\n"
    r"\s*full_key: (?P<key>\S+)"
)


def unimportable(error: ImportError) -> AerosError:
    """Return what it means that an installed library cannot be imported."""
    library = error.name or "".join(_importing(error)) or "a library"
    top = library.partition(".")[0]
    told = PluginError(
        f"{top} cannot be imported: {first_line(error)}",
        hint=f"pip install --force-reinstall {top}",
    )
    told.__cause__ = error
    return told


def _importing(error: ImportError) -> list[str]:
    """Return the name of the module in which an import failed, if there is a traceback."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return [str(frame.f_globals.get("__name__", "")) for frame in frames[-1:]]


def _roles() -> Iterator[str]:
    from aeros_core.hookspecs import OPTIONS

    yield from OPTIONS.values()


def _unknown_file(group: str, name: str, options: Sequence[str]) -> ConfigError:
    close = nearest(name, options)
    near = f"aeros options {group} lists them" if group and options else "aeros options"
    return ConfigError(
        f"{group}={name} does not exist" if group else f"no configuration is called {name}",
        exists=", ".join(sorted(options)),
        hint=f"{group}={close[0]}" if close else near,
    )


def _wrong_value(error: Exception, cause: OmegaConfBaseException) -> ConfigError:
    key = str(cause.full_key or "")
    parent = cause.parent_node
    names = [str(k) for k in parent] if isinstance(parent, DictConfig) else []
    names = [name for name in names if name != "hydra" and not name.startswith("_")]
    leaf = key.rpartition(".")[2]
    unresolved = isinstance(cause, InterpolationResolutionError)
    free = get_origin(cause.ref_type) is dict
    if (names or free) and leaf not in names and not unresolved:
        return ConfigError(
            f"option '{key}' does not exist",
            exists=", ".join(names) or "none yet",
            hint=_meant(_typed(error, key), key, names, free=free),
        )
    return ConfigError(
        f"option '{key}': {first_line(cause)}" if key else first_line(error),
        hint=f"{key}={_values(cause)}" if key else "aeros run --help",
    )


def _typed(error: Exception, key: str) -> str:
    """Return the whole option that was typed, of which ``key`` is what was looked for."""
    said = re.match(r"Could not override '([^']+)'", str(error))
    return said[1] if said and said[1].startswith(key) else key


def _meant(typed: str, key: str, names: Sequence[str], *, free: bool) -> str:
    """Return what may have been meant; where names are free, also what adds one."""
    prefix, dot, leaf = key.rpartition(".")
    rest = typed.removeprefix(key)
    words = [f"{prefix}{dot}{name}{rest}=<value>" for name in nearest(leaf, names)]
    words += [f"+{typed}=<value>"] if free else []
    if not words and "task" in names:
        return "aeros run --cfg job shows every option"
    return (
        ", or ".join(words) or f"{prefix}{dot}<one of these>{rest if dot else '.<option>'}=<value>"
    )


def _values(cause: OmegaConfBaseException) -> str:
    """Return what an option can be set to, where that is one of several names."""
    if isinstance(cause.child_node, EnumNode):
        return ", or ".join(cause.child_node.enum_type.__members__)
    return "<value of that type>"


def first_line(error: BaseException) -> str:
    """Return the first line of a message, and the second where the first only leads to it."""
    lines = (str(error) or type(error).__name__).strip().splitlines()
    return " ".join(lines[:2]) if lines[0].endswith(":") else lines[0]

"""Types and defaults of options that a structured configuration can hold."""

from __future__ import annotations

import dataclasses
import types
import typing
from enum import Enum
from typing import Any

__all__ = ["check"]

_SCALARS = (str, int, float, bool)
_HELD = (*_SCALARS, Any)

_LONGEST = 100_000
"""Members or characters of a default, at most: every run prints and stores its configuration."""


def check(name: str, config: type[Any]) -> None:
    """Refuse options that no configuration can hold, or whose defaults are out of proportion.

    OmegaConf decides; it is imported only for a type or default that is not plain, as discovery
    has to be quick.

    Args:
        name: Name of the option that the dataclass belongs to, for messages.
        config: The dataclass.

    Raises:
        TypeError: A field has a type or a default that no configuration can hold.
        ValueError: A default has too many members.
    """
    defaults = {field.name: _default(field) for field in dataclasses.fields(config)}
    for key, value in defaults.items():
        if isinstance(value, str | bytes | list | tuple | dict | set) and len(value) > _LONGEST:
            raise ValueError(f"{name}: the default of {key} has {len(value):,} members")
    if not _all_plain(config, defaults):
        _ask_omegaconf(name, config)


def _default(field: dataclasses.Field[Any]) -> Any:
    made = field.default_factory
    return field.default if made is dataclasses.MISSING else made()


def _all_plain(config: type[Any], defaults: dict[str, Any]) -> bool:
    try:
        hints = typing.get_type_hints(config)
    except Exception:  # an annotation may run any code
        return False
    return all(_is_plain(hints.get(key), value) for key, value in defaults.items())


def _is_plain(hint: Any, value: Any) -> bool:
    """Tell whether a value is certainly one that a configuration holds under this type."""
    if hint in _SCALARS:
        return type(value) is hint or (hint is float and type(value) is int)
    if isinstance(hint, type) and issubclass(hint, Enum):
        return isinstance(value, hint)
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union) and len(inner) == 2 and type(None) in inner:
        return value is None or any(_is_plain(one, value) for one in inner if one is not type(None))
    if origin is list and isinstance(value, list):
        return inner[0] in _HELD and all(_is_plain(inner[0], one) for one in value)
    if origin is dict and isinstance(value, dict):
        return inner[0] is str and inner[1] in _HELD and _are_plain(inner[1], value)
    return hint is Any and _is_any(value)


def _are_plain(hint: Any, values: dict[Any, Any]) -> bool:
    return all(type(key) is str and _is_plain(hint, one) for key, one in values.items())


def _is_any(value: Any) -> bool:
    if isinstance(value, dict):
        return _are_plain(Any, value)
    if isinstance(value, list):
        return all(map(_is_any, value))
    return value is None or type(value) in _SCALARS


def _ask_omegaconf(name: str, config: type[Any]) -> None:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        OmegaConf.structured(config)
    except OmegaConfBaseException as error:
        raise TypeError(f"{name}: {str(error).strip().splitlines()[0]}") from error

"""torch's classes and functions by the names that users type, and their options."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, TypeVar

import torch

from aeros_core.errors import ConfigError

__all__ = ["call", "check_options", "find", "option_names"]

T = TypeVar("T")

_PROVIDER = f"torch {torch.__version__}"


def find(option: str, asked: str, known: Mapping[str, T]) -> T:
    """Return what ``known`` holds under a name, whatever its case and underscores.

    Raises:
        ConfigError: It holds nothing of that name.
    """
    names = {_plain(name): name for name in known}
    if (name := names.get(_plain(asked))) is not None:
        return known[name]
    close = get_close_matches(_plain(asked), names, n=1)
    raise ConfigError(
        f"{option}={asked} does not exist",
        exists=", ".join(sorted(known)),
        provider=_PROVIDER,
        hint=f"{option}={names[close[0]]}" if close else "",
    )


def _plain(name: str) -> str:
    return name.lower().replace("_", "")


def option_names(target: Callable[..., Any], without: Iterable[str]) -> list[str]:
    """Return the parameters of a class or function that an option may set."""
    hidden = set(without)
    return [name for name in inspect.signature(target).parameters if name not in hidden]


def check_options(
    option: str, owner: str, options: Mapping[str, Any], known: Sequence[str], hint: str = ""
) -> dict[str, Any]:
    """Return options as keyword arguments, lists as tuples.

    Raises:
        ConfigError: ``owner`` does not know one of them.
    """
    unknown = [name for name in options if name not in known]
    if unknown:
        raise ConfigError(
            f"{option}.{unknown[0]} is not an option of {owner}",
            exists=", ".join(known) or "no option at all",
            provider=_PROVIDER,
            hint=hint,
        )
    return {name: _frozen(value) for name, value in options.items()}


def _frozen(value: object) -> object:
    return tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else value


def call(option: str, target: Callable[..., T], *args: object, **options: object) -> T:
    """Call one of torch's classes or functions with what a user typed.

    Raises:
        ConfigError: torch does not take it, with torch's own reason.
    """
    try:
        return target(*args, **options)
    except (TypeError, ValueError, RuntimeError, ZeroDivisionError, AttributeError) as error:
        reason = " ".join(str(error).split())
        typed = ", ".join(f"{name}={value}" for name, value in options.items())
        raise ConfigError(
            f"{option} cannot be made with {typed or 'no options'}: {reason}", provider=_PROVIDER
        ) from error

"""Read the docstring of an option, and the comments at the head of a preset."""

from __future__ import annotations

import inspect
import re
from collections.abc import Sequence
from typing import Any

__all__ = ["arguments", "comments", "summary", "text"]

_SECTION = re.compile(r"(Args|Attributes|Returns|Raises|Example|Examples|Note|Notes):\s*")
_ARGUMENT = re.compile(r" {4}(\w+)(?: \([^)]*\))?: *(.*)")
_PREFIX = re.compile(r"[\w/]+=(\[\w+\]|\w+): ")


def summary(config: type[Any]) -> str:
    """Return the first line of a dataclass's docstring, without the option's own name."""
    first = _lines(config)[0] if _lines(config) else ""
    return _capital(_PREFIX.sub("", _plain(first)))


def text(config: type[Any]) -> list[str]:
    """Return the paragraphs of a dataclass's docstring between its first line and ``Args:``."""
    lines = _lines(config)[1:]
    end = next((n for n, line in enumerate(lines) if _SECTION.fullmatch(line)), len(lines))
    return _paragraphs(lines[:end])


def arguments(config: type[Any]) -> dict[str, str]:
    """Return the description of each field that the docstring's ``Args:`` names.

    Docstrings of base classes count for the fields that they declare. ``None`` is ``null``, as
    it is typed.
    """
    found: dict[str, str] = {}
    for each in reversed(config.__mro__[:-1]):
        found |= _arguments(_lines(each))
    return {name: re.sub(r"\bNone\b", "null", _plain(each)) for name, each in found.items()}


def _arguments(lines: Sequence[str]) -> dict[str, str]:
    start = next((n for n, line in enumerate(lines) if line.strip() == "Args:"), len(lines))
    found: dict[str, str] = {}
    name = ""
    for line in lines[start + 1 :]:
        if line and not line.startswith(" "):
            break
        if match := _ARGUMENT.fullmatch(line):
            name = match[1]
            found[name] = match[2]
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def comments(preset: str) -> list[str]:
    """Return the comments at the head of a configuration file, a line each.

    Directives for Hydra (``@package``) and the command that uses the file are left out.
    """
    found = []
    for line in preset.splitlines():
        if not line.startswith("#"):
            break
        told = line.lstrip("# ").rstrip()
        if told and not told.startswith(("@package", "aeros ")):
            found.append(told)
    return found


def _lines(config: type[Any]) -> list[str]:
    doc = config.__doc__ or ""
    if doc.startswith(f"{config.__name__}("):  # which dataclasses write where there is none
        return []
    return inspect.cleandoc(doc).splitlines()


def _paragraphs(lines: Sequence[str]) -> list[str]:
    return [" ".join(each.split()) for each in _plain("\n".join(lines)).split("\n\n") if each]


def _plain(text: str) -> str:
    """Return a text without the marks of reStructuredText around code."""
    return text.replace("``", "").replace("`", "")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

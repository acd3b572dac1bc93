"""The command ``aeros options [GROUP[=OPTION]]``."""

from __future__ import annotations

import argparse
import json
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from aeros_core.cli.options import catalogue
from aeros_core.cli.options.catalogue import Choice
from aeros_core.cli.options.fields import Field
from aeros_core.plugins import discovery
from aeros_core.plugins.registry import Health, Registry
from aeros_core.reporting.tables import table

__all__ = ["add_options"]

_WIDEST = 40
"""Columns before the types, at most: one long default moves no other line."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the command ``aeros options`` its arguments."""
    parser.add_argument(
        "word", nargs="?", default="", metavar="GROUP[=OPTION]",
        help="a group, or one option of it; without: all of them",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(command=_options)


def _options(parsed: argparse.Namespace) -> int:
    registry = discovery.discover()
    listed = catalogue.choices(registry)
    found = catalogue.find(registry, listed, parsed.word) if parsed.word else listed
    if "=" in parsed.word:
        print(json.dumps(_described(found[0]), indent=2) if parsed.json else _shown(found[0]))
    elif parsed.json:
        print(json.dumps([_listed(each) for each in found], indent=2))
    else:
        rows = [_listed(each) | {"option": f"{each.group}={each.name}"} for each in found]
        print(table(rows, ["option", "distribution", "summary"]))
        for note in _notes(registry):
            print(f"\n{note}")
    return 0


def _listed(choice: Choice) -> dict[str, Any]:
    return {
        "group": choice.group,
        "option": choice.name,
        "summary": choice.summary,
        "distribution": choice.plugin.distribution,
        "version": choice.plugin.version,
    }


def _described(choice: Choice) -> dict[str, Any]:
    """Return everything known of one option, as plain data."""
    return {
        **_listed(choice),
        "description": "\n\n".join(choice.text).strip(),
        "fields": [asdict(each) for each in choice.fields],
        "preset": choice.preset,
        "use": choice.use,
    }


def _notes(registry: Registry) -> Iterator[str]:
    """Yield why an option may be missing from the list."""
    broken = [plugin.name for plugin in registry.plugins if plugin.status is Health.FAILED]
    if broken:
        yield f"not listed: what {', '.join(broken)} offers\n  next: aeros plugins shows the reason"
    if registry.clashes:
        names = ", ".join(f"{group}={name}" for group, name in registry.clashes)
        yield f"not listed: {names}\n  next: aeros plugins shows the reason"


def _shown(choice: Choice) -> str:
    """Return the page of one option."""
    title = f"{choice.group}={choice.name}"
    parts = [f"{title}  {choice.summary}".rstrip(), f"from {choice.plugin}"]
    parts += ["", *(textwrap.fill(each, _width()) for each in choice.text if each)]
    if choice.preset:
        parts += ["", choice.preset.rstrip()]
    elif choice.fields:
        parts += ["", _fields(choice.fields)]
    parts += ["", f"to use it: {choice.use}"]
    if choice.preset:
        mine = f"conf/{choice.group}/mine.yaml"
        parts += [
            f"to change it: save the above as {mine},"
            f" then aeros run --config-dir conf {choice.group}=mine"
        ]
    text = "\n".join(parts)
    while "\n\n\n" in text:
        text = text.replace("\n\n\n", "\n\n")
    return text


def _fields(described: Sequence[Field]) -> str:
    """Return fields as they are typed, with their defaults and types, and descriptions below."""
    typed = [f"{each.option}={each.shown}" for each in described]
    wide = min(max(map(len, typed)), _WIDEST)
    lines = []
    for word, each in zip(typed, described, strict=True):
        lines.append(f"{word.ljust(wide)}  {each.type}")
        lines += textwrap.wrap(
            each.description, _width() - 4, initial_indent="    ", subsequent_indent="    ",
            break_long_words=False, break_on_hyphens=False,
        )  # fmt: skip
    return "\n".join(lines)


def _width() -> int:
    return max(40, shutil.get_terminal_size((100, 24)).columns)

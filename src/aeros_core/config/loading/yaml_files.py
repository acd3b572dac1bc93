"""Configuration files as plain YAML: text, mappings, lists and scalars, within limits.

A file is read as events first, which builds nothing. So a tag that names Python, aliases that
unfold to millions of nodes, or nesting that exhausts the stack are refused by line.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from aeros_core.errors import ConfigError

__all__ = ["check_file", "check_text"]

MOST_BYTES = 1 << 20
MOST_NODES = 100_000
MOST_NESTED = 40

PLAIN = {
    f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq")
}

_EXAMPLE = "an example is shown by aeros run --cfg job"


def check_file(path: Path, load: Callable[[str], Any]) -> None:
    """Refuse a configuration file that is not plain YAML with a mapping at its top.

    Args:
        path: The file.
        load: Reads YAML text as the configuration will be read.

    Raises:
        ConfigError: It is too large, not text, or not such YAML.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}", hint=f"ls -l {path}"
        ) from error
    if len(data) > MOST_BYTES:
        raise ConfigError(
            f"{path} is larger than {MOST_BYTES >> 20} MiB, the most of a configuration file",
            hint="keep data in files of their own, and name them in the configuration",
        )
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not UTF-8 text: {error.reason} at byte {error.start}",
            hint=f"iconv -f latin1 -t utf-8 {path} > NEW.yaml",
        ) from error
    check_text(text, str(path), load)


def check_text(text: str, name: str, load: Callable[[str], Any] | None = None) -> None:
    """Refuse YAML text that is not plain, or too large once its aliases are unfolded.

    Raises:
        ConfigError: It is the one or the other.
    """
    try:
        _Nodes(name).read(text)
        if load is not None:
            load(text)
    except yaml.YAMLError as error:
        raise ConfigError(_syntax(error, text, name), hint=_EXAMPLE) from error
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        problem = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigError(f"{name}: {problem}", hint=_EXAMPLE) from error


def _syntax(error: yaml.YAMLError, text: str, name: str) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    where = f"{name}, line {mark.line + 1}" if mark else name
    lines = text.splitlines()
    if mark and mark.line < len(lines) and "\t" in lines[mark.line]:
        problem = "a tab where spaces indent"
    return f"{where}: {str(problem).splitlines()[0]}"


class _Nodes:
    """Counts the nodes of a YAML text as they will be once aliases are unfolded.

    Args:
        name: What names the text in messages.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._sizes: dict[str, int] = {}
        self._open: list[tuple[str | None, int]] = []
        self._total = 0

    def read(self, text: str) -> None:
        """Go through all of it.

        Raises:
            ConfigError: It is too deep, too large, has a tag, or no mapping at its top.
            YAMLError: It is not YAML.
        """
        for event in yaml.parse(text, yaml.SafeLoader):
            if isinstance(event, yaml.AliasEvent):
                self._alias(event)
            elif isinstance(event, yaml.NodeEvent):
                self._node(event)
            elif isinstance(event, yaml.CollectionEndEvent):
                anchor, before = self._open.pop()
                self._note(anchor, self._total - before)
            if self._total > MOST_NODES:
                raise self._refusal(event, f"more than {MOST_NODES} values, aliases unfolded")

    def _node(self, event: Any) -> None:
        if event.tag not in (None, "!") and event.tag not in PLAIN:
            raise self._refusal(event, f"the tag {_short(event.tag)} is not plain YAML")
        collection = isinstance(event, yaml.CollectionStartEvent)
        if not self._open and not isinstance(event, yaml.MappingStartEvent) and not _empty(event):
            raise self._refusal(event, "the top is not a mapping of names to values")
        self._total += 1
        if not collection:
            self._note(event.anchor, 1)
            return
        self._open.append((event.anchor, self._total - 1))
        if len(self._open) > MOST_NESTED:
            raise self._refusal(event, f"nested deeper than {MOST_NESTED} levels")

    def _alias(self, event: Any) -> None:
        if any(anchor == event.anchor for anchor, _ in self._open):
            raise self._refusal(event, f"*{event.anchor} refers to what it stands in")
        self._total += self._sizes.get(event.anchor, 1)

    def _note(self, anchor: str | None, size: int) -> None:
        if anchor:
            self._sizes[anchor] = size

    def _refusal(self, event: Any, why: str) -> ConfigError:
        return ConfigError(f"{self._name}, line {event.start_mark.line + 1}: {why}", hint=_EXAMPLE)


def _empty(event: Any) -> bool:
    return isinstance(event, yaml.ScalarEvent) and event.value in ("", "null", "~")


def _short(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!", 1)

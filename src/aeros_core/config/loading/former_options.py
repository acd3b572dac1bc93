"""Options by the names they had before: still taken, with a line on stderr, for one version.

A dataclass says which option had another name (`aeros_core.options.metadata.former_name`). Words of
the command line and configuration files are rewritten before Hydra looks at them; records are
by `aeros_core.config.naming`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from omegaconf import DictConfig

from aeros_core.errors import ConfigError
from aeros_core.options.choices import MANY
from aeros_core.options.metadata import current_names
from aeros_core.plugins.registry import Registry
from aeros_core.tasks.task import Task

__all__ = ["FormerOptions", "known", "report", "rewrite_node", "rewrite_words"]

FormerOptions: TypeAlias = Mapping[str, Mapping[str, str]]
"""``{key of a part: {former name: current name}}``, the key as it is typed: ``task``."""

_KEY = re.compile(r"([+~]*)([\w./@:-]+)(=.*)?", re.DOTALL)
_told: set[str] = set()


def known(registry: Registry) -> FormerOptions:
    """Return every option that had another name, of the task and of installed parts."""
    found: dict[str, dict[str, str]] = {"task": current_names(Task)}
    for option in registry.options.values():
        key = option.group.replace("/", ".")
        if option.group in MANY:
            key = f"{key}.{option.name}"
        found.setdefault(key, {}).update(current_names(option.config))
    return {key: names for key, names in found.items() if names}


def rewrite_words(words: Sequence[str], options: FormerOptions) -> list[str]:
    """Return the words of a command line with options by their current names.

    Raises:
        ConfigError: An option is given by its former name and by its current one.
    """
    split = [_KEY.fullmatch(word) for word in words]
    given = {found[2] for found in split if found}
    made = []
    for word, found in zip(words, split, strict=True):
        key, name = (found[2].rpartition(".")[::2]) if found else ("", "")
        current = options.get(key, {}).get(name)
        if found is None or current is None:
            made.append(word)
            continue
        if f"{key}.{current}" in given:
            raise _both(f"{key}.{name}", f"{key}.{current}")
        report(f"{key}.{name}", f"{key}.{current}")
        made.append(f"{found[1]}{key}.{current}{found[3] or ''}")
    return made


def rewrite_node(config: Any, options: FormerOptions, where: str) -> None:
    """Rename the options of a file's configuration in place.

    Args:
        config: What the file holds, in its place in the whole.
        options: What `known` returned.
        where: The file, to name it.

    Raises:
        ConfigError: An option stands there by both of its names.
    """
    for key, names in options.items():
        node = _below(config, key.split("."))
        for former, current in names.items() if isinstance(node, DictConfig) else ():
            if former not in node:
                continue
            if current in node:
                raise _both(f"{where}: {key}.{former}", f"{key}.{current}")
            report(f"{where}: {key}.{former}", f"{key}.{current}")
            node[current] = node.pop(former)


def _below(config: Any, key: Sequence[str]) -> Any:
    for part in key:
        config = config._get_node(part) if isinstance(config, DictConfig) else None
    return config


def report(former: str, current: str) -> None:
    """Write to standard error, once in a process, that an option has another name."""
    if former not in _told:
        _told.add(former)
        sys.stderr.write(
            f"aeros: {former} is called {current} now; the former name goes with the next version\n"
        )


def _both(former: str, current: str) -> ConfigError:
    return ConfigError(
        f"{former} is the former name of {current}, and both are given",
        exists=current,
        hint=f"leave out {former.rpartition(' ')[2]}",
    )

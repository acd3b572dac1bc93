"""Which options of a task an executor takes from its controller, and which are the site's alone.

Options that name files, folders, addresses or variables of the environment are declared as such
(`aeros_core.options.metadata`); all others, such as the label of a table, come from the task unless
the site sets them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from aeros_core.errors import AccessError, ConfigError
from aeros_core.files.data_files import ANYWHERE, NOWHERE, FileAccess
from aeros_core.options.choices import MARKS
from aeros_core.options.metadata import OptionKind
from aeros_core.plugins.located_options import Located
from aeros_core.plugins.registry import Registry
from aeros_core.records import Model

__all__ = ["GROUPS", "SiteOptions"]

GROUPS = ("trainer", "transformer", "inferencer")
"""Parts of a task whose options a site may set."""

_Nodes = dict[str, Any]


def _none(address: str) -> bool:  # noqa: ARG001 - the form of what a policy asks
    return False


@dataclass(frozen=True, slots=True)
class SiteOptions:
    """What a site decides about the options of a task.

    Args:
        registry: What is installed.
        settings: What the site sets, as ``transformer.table.path=FILE``; a later one wins.
        own: Whether its data are its own: then what names files or addresses is its alone, and
            has its default where the site does not set it.
        files: The files that a task may name where the data are not the site's own. Its root, if
            it has one, is where defaults are looked for.
        allowed: Tells whether a task may name an address.
    """

    registry: Registry
    settings: tuple[str, ...] = ()
    own: bool = False
    files: FileAccess = NOWHERE
    allowed: Callable[[str], bool] = _none

    def configured(self, asked: Mapping[str, Any]) -> _Nodes:
        """Return the configuration of a task as it is carried out here.

        Every path in it is a `DataFile`; what is built from it needs no other file.

        Args:
            asked: What the controller asks for, as plain data; it is not changed.

        Raises:
            ConfigError: The site sets what does not exist, or is not its to set.
            AccessError: The task names a file or an address that the site does not give.
        """
        made = self._copied(asked)
        mine = self._set(made)
        for group, node in made.items():
            for found in self.registry.located(node, group):
                self._decide(found, mine)
        return made

    def delivered(self, model: Model) -> Model:
        """Return a stored model as it is used here: its steps read no file that is not given.

        Raises:
            AccessError: It names a file or an address that the site does not give.
        """
        made = self._copied(
            {"module": dict(model.module), "transformers": dict(model.transformers)}
        )
        for found in self.registry.located(made, "model"):
            self._decide(found, {})
        return replace(model, **made)

    def _copied(self, asked: Mapping[str, Any]) -> _Nodes:
        """Return a copy of a configuration, with what `located` finds by its current name."""
        made: _Nodes = json.loads(json.dumps(asked))
        for found in list(self.registry.located(made, "")):
            if found.name != found.current:
                node: Any = found.node
                node.setdefault(found.current, node.pop(found.name))
        return made

    def _set(self, made: _Nodes) -> dict[str, str]:
        """Set what the site sets; return its texts by key."""
        mine: dict[str, str] = {}
        for word in self.settings:
            key, _, text = word.partition("=")
            node, last = self._place(made, key)
            if node is None:
                raise ConfigError(
                    f"--set {word}: the task has no option '{key}' that an executor sets",
                    exists=", ".join(_keys(made)) or "none",
                    hint="--set KEY=VALUE with one of these, or leave it out",
                )
            mine[key], node[last] = text, _value(text)
        return mine

    def _place(self, made: _Nodes, key: str) -> tuple[_Nodes | None, str]:
        """Return what holds the option of this key, and its name there; None: it does not exist."""
        *way, last = key.split(".")
        node: Any = made if way and way[0] in GROUPS else None
        for part in way:
            node = node.get(part) if isinstance(node, dict) else None
        if not isinstance(node, dict):
            return None, last
        declared = {found.where for found in self.registry.located(node, ".".join(way))}
        return (node if last in node or key in declared else None), last

    def _decide(self, found: Located, mine: Mapping[str, str]) -> None:
        """Put the value that holds here in place of the one that a task names."""
        node: Any = found.node
        if found.where in mine:
            node[found.name] = _granted(found, _text(found, mine[found.where]), ANYWHERE)
        elif self.own:
            node[found.name] = self._kept(found, node.get(found.name))
        elif found.name in node:
            node[found.name] = self._taken(found, node[found.name])

    def _kept(self, found: Located, asked: Any) -> Any:
        """Return the default, or an address of the task that the site allows by name."""
        if not found.kind.is_path and isinstance(asked, str) and self.allowed(asked):
            return asked
        return _granted(found, found.default, self.files if self.files.root else ANYWHERE)

    def _taken(self, found: Located, asked: Any) -> Any:
        """Return what a task names, as far as the site gives it."""
        if found.kind.is_path:
            return _granted(found, asked, self.files)
        named = asked if found.is_list and isinstance(asked, list) else [asked]
        if asked == found.default or all(isinstance(n, str) and self.allowed(n) for n in named):
            return asked
        an = "an" if found.kind is OptionKind.ADDRESS else "a"
        raise AccessError(
            f"the task sets {found.where}, and this site takes no {found.kind} from tasks",
            kind=f"the task names {an} {found.kind} that the site does not give",
            hint=f"--set {found.where}=VALUE",
        )


def _granted(found: Located, value: Any, files: FileAccess) -> Any:
    """Return a path, or each of several, as a file that is given; other values as they are."""
    if not found.kind.is_path:
        return value
    if value is None or value == "":
        return files.usual(found.dataset, found.where) if found.dataset else value
    if found.is_list and isinstance(value, list):
        return [files.grant(one, found.where) for one in value]
    return files.grant(value, found.where)


def _text(found: Located, text: str) -> Any:
    """Return what a site typed for a path or an address: text, unless it spells something else."""
    value = _value(text)
    if value is None or isinstance(value, str) or (found.is_list and isinstance(value, list)):
        return value
    return text


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _keys(config: Mapping[str, Any]) -> list[str]:
    """Return the keys that an executor may set, of parts and of what lies within them."""
    keys: list[str] = []
    todo = [(group, config.get(group)) for group in GROUPS]
    for name, node in todo:
        for key, value in (node if isinstance(node, Mapping) else {}).items():
            if isinstance(value, Mapping):
                todo.append((f"{name}.{key}", value))
            elif key not in MARKS:
                keys.append(f"{name}.{key}")
    return sorted(keys)

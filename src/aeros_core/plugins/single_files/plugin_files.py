"""The files that ``--plugin`` names for this command, and what they register.

Their records have the file's name in place of a distribution and its SHA-256 in place of a
version.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from aeros_core.errors import ConfigError, PluginError
from aeros_core.hookspecs import GROUPS
from aeros_core.plugins.registration import Offers, collect
from aeros_core.plugins.registry import Health, Plugin
from aeros_core.plugins.single_files import source
from aeros_core.plugins.single_files.source import FLAG, PluginFile

__all__ = [
    "FLAG",
    "check_names",
    "digests",
    "load",
    "load_same",
    "loaded",
    "requested",
    "requesting",
    "split",
    "words",
]

_requested: dict[str, PluginFile] = {}
_loaded: dict[str, tuple[Plugin, Offers]] = {}


def split(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the files that ``--plugin`` names, and the other arguments.

    Raises:
        ConfigError: The last argument is ``--plugin``.
    """
    files: list[str] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == FLAG:
            files.append(next(words, ""))
        elif word.startswith(f"{FLAG}="):
            files.append(word.removeprefix(f"{FLAG}="))
        else:
            rest.append(word)
    if "" in files:
        raise ConfigError("--plugin needs the path of a Python file", hint="--plugin FILE.py")
    return files, rest


@contextmanager
def requesting(paths: Sequence[str]) -> Iterator[None]:
    """Read these files, and forget them and their modules afterwards.

    Nothing is imported before `load` is called.

    Raises:
        ConfigError: One is missing, is not a regular Python file, or has the name of a module.
    """
    files_before, loaded_before = dict(_requested), dict(_loaded)
    try:
        for path in paths:
            file = source.read(path)
            if file.name not in _loaded:
                source.check_name(file)
            known = _requested.setdefault(file.name, file)
            if known.source != file.source:
                raise ConfigError(
                    f"--plugin {path} and --plugin {known.path} have one name, {file.name}",
                    hint="rename one of the files",
                )
        yield
    finally:
        for name in _loaded.keys() - loaded_before.keys():
            sys.modules.pop(name, None)
            del _loaded[name]
        _requested.clear()
        _requested.update(files_before)


def requested() -> tuple[PluginFile, ...]:
    """Return the files that were named for this command, loaded or not."""
    return tuple(_requested.values())


def words() -> list[str]:
    """Return the arguments that name the requested files, for a process that this one starts."""
    return [word for file in _requested.values() for word in (FLAG, file.path)]


def load() -> None:
    """Import the requested files; `aeros_core.plugins.discovery.discover` then returns them.

    Raises:
        PluginError: One has a syntax error, fails when it is imported, or registers nothing.
    """
    for name, file in _requested.items():
        if name not in _loaded:
            try:
                _loaded[name] = _collected(file)
            except BaseException:
                sys.modules.pop(name, None)
                raise


def digests() -> dict[str, str]:
    """Return the version of each requested file, by its absolute path."""
    return {str(Path(file.path).absolute()): file.version for file in _requested.values()}


def load_same(files: Mapping[str, str]) -> None:
    """Load the files that another process of this user has loaded, unless they are loaded here.

    Args:
        files: What `digests` returned there.

    Raises:
        ConfigError: One is missing, or its content is another.
        PluginError: One cannot be used.
    """
    for path, version in files.items():
        file = source.read(path)
        if file.version != version:
            raise ConfigError(
                f"{FLAG} {path} has changed since this command started",
                exists=f"{version}, now {file.version}",
                hint="start the command again",
            )
        _requested.setdefault(file.name, file)
    load()


def loaded() -> tuple[tuple[Plugin, Offers], ...]:
    """Return each file that was loaded, with what it registers."""
    return tuple(_loaded.values())


def check_names(
    plugins: Sequence[Plugin], clashes: Mapping[tuple[str, str], Sequence[Plugin]]
) -> None:
    """Refuse a file that is named as an installed plugin is, or registers a name that is taken.

    Args:
        plugins: All plugins.
        clashes: Names that several of them offer, by group and name.

    Raises:
        PluginError: There is one.
    """
    for plugin, _ in _loaded.values():
        path = _requested[plugin.name].path
        for other in plugins:
            if other.name == plugin.name and other is not plugin:
                raise PluginError(
                    f"{path}: a plugin called {plugin.name} is installed",
                    provider=str(other),
                    hint=f"rename {path}",
                )
        for (group, name), several in clashes.items():
            others = [each for each in several if each is not plugin]
            if len(others) < len(several):
                raise PluginError(
                    f"{path}: {group}={name} exists already",
                    provider=" and ".join(map(str, others)),
                    hint=f"choose another name in {path}",
                )


def _collected(file: PluginFile) -> tuple[Plugin, Offers]:
    plugin = Plugin(file.name, os.path.basename(file.path), file.version, file.name)  # noqa: PTH119
    plugin, offers = collect(plugin, source.imported(file))
    if plugin.status is not Health.OK:
        raise source.unusable(file, plugin.reason)
    if not plugin.provides:
        raise PluginError(
            f"{file.path} registers nothing: it has no function marked with hookimpl",
            exists=", ".join(sorted(GROUPS)),
            hint="docs/plugins.md has an example of each",
        )
    return plugin, offers

"""Plugins that are single files, named by ``--plugin FILE.py`` for one command.

The command line alone names them: no configuration, record, message or environment variable
does. A file is read once; what was hashed is what runs, and no bytecode is read or written for
it. Its record has the file's name in place of a distribution and its SHA-256 in place of a
version.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from aeros_core.errors import ConfigError, PluginError
from aeros_core.files import safe_open
from aeros_core.hookspecs import GROUPS
from aeros_core.options.choices import FILE_VERSION
from aeros_core.plugins import import_check
from aeros_core.plugins.registration import Offers, collect, said
from aeros_core.plugins.registry import Health, Plugin

__all__ = ["PluginFile", "check_names", "load", "loaded", "requested", "requesting", "split"]

FLAG = "--plugin"
LARGEST = 2**20
"""Bytes of a file, at most."""


@dataclass(frozen=True, slots=True)
class PluginFile:
    """One file as it was read.

    Args:
        path: Its path as it was typed.
        source: Its content.
    """

    path: str
    source: bytes

    @property
    def name(self) -> str:
        """Name of the plugin and of its module."""
        return os.path.basename(self.path).removesuffix(".py")  # noqa: PTH119 - as it was typed

    @property
    def value(self) -> str:
        """The content, by which a repeated import is recognised."""
        return self.version

    @property
    def version(self) -> str:
        """``sha256:`` and the digest of the content."""
        return FILE_VERSION + hashlib.sha256(self.source).hexdigest()

    def load(self) -> ModuleType:
        """Import the content as a module of the file's name."""
        loader = _Loader(self)
        spec = importlib.util.spec_from_file_location(self.name, self.path, loader=loader)
        assert spec is not None  # noqa: S101 - a loader was given
        module = importlib.util.module_from_spec(spec)
        sys.modules[self.name] = module
        try:
            loader.exec_module(module)
        except BaseException:
            del sys.modules[self.name]
            raise
        return module


class _Loader(importlib.abc.SourceLoader):
    """Loads a module from bytes that were read already; there is no cache of bytecode."""

    def __init__(self, file: PluginFile) -> None:
        self._file = file

    def get_filename(self, fullname: str) -> str:  # noqa: ARG002 - there is one module
        return self._file.path

    def get_data(self, path: str | bytes) -> bytes:
        if path != self._file.path:
            raise OSError(path)
        return self._file.source


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
            file = _read(path)
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


def load() -> None:
    """Import the requested files; `aeros_core.plugins.discovery.discover` then returns them.

    Raises:
        PluginError: One has a syntax error, fails when it is imported, or registers nothing.
    """
    for name, file in _requested.items():
        if name not in _loaded:
            _loaded[name] = _collected(file)


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


def _read(path: str) -> PluginFile:
    asked = f"{FLAG} {path}"
    if not path.endswith(".py") or not PluginFile(path, b"").name.isidentifier():
        raise ConfigError(
            f"{asked} must be a Python file whose name can be imported",
            exists="letters, digits and _ before .py, the first not a digit",
            hint=f"{FLAG} my_rule.py",
        )
    try:
        with open(safe_open.open_regular(path, "", asked), "rb") as stream:  # noqa: PTH123
            source = stream.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(
            f"{asked}: {error.strerror or error}", hint=f"{FLAG} PATH of a Python file"
        ) from error
    if len(source) > LARGEST:
        raise ConfigError(f"{asked} must be at most {LARGEST:,} bytes")
    file = PluginFile(path, source)
    _check_name(file, asked)
    return file


def _check_name(file: PluginFile, asked: str) -> None:
    """Refuse the name of a module that can be imported, unless it is this very file."""
    if file.name in _loaded:
        return
    origin = getattr(importlib.util.find_spec(file.name), "origin", None)
    if file.name not in sys.modules and (origin is None or _same(origin, file.path)):
        return
    raise ConfigError(
        f"{asked} has the name of a module that is installed",
        provider=origin or file.name,
        hint="rename the file",
    )


def _same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def _collected(file: PluginFile) -> tuple[Plugin, Offers]:
    plugin = Plugin(file.name, os.path.basename(file.path), file.version, file.name)  # noqa: PTH119
    plugin, offers = collect(plugin, _imported(file))
    if plugin.status is not Health.OK:
        raise _unusable(file, plugin.reason)
    if not plugin.provides:
        raise PluginError(
            f"{file.path} registers nothing: it has no function marked with hookimpl",
            exists=", ".join(sorted(GROUPS)),
            hint="docs/plugins.md has an example of each",
        )
    return plugin, offers


def _imported(file: PluginFile) -> ModuleType:
    try:
        module: ModuleType = import_check.load(file)
    except KeyboardInterrupt:
        raise
    except import_check.ProcessChange as error:
        raise _unusable(file, str(error)) from error
    except SyntaxError as error:
        where = error.filename or file.path
        raise _unusable(
            file, f"{type(error).__name__}: {error.msg}", error.lineno, where
        ) from error
    except BaseException as error:
        raise _unusable(file, said(error), _line(error, file.path)) from error
    return module


def _line(error: BaseException, path: str) -> int | None:
    """Return the line of the file in which an error arose."""
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__)
             if frame.f_code.co_filename == path]  # fmt: skip
    return lines[-1] if lines else None


def _unusable(
    file: PluginFile, why: str, line: int | None = None, path: str | None = None
) -> PluginError:
    where = (path or file.path) + (f":{line}" if line else "")
    return PluginError(f"{where}: {why}", hint=f"correct {file.path}, which {FLAG} names")

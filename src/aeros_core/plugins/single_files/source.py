"""One Python file, read once and imported: what was hashed is what runs.

No bytecode is read or written for it.
"""

from __future__ import annotations

import hashlib
import importlib.abc
import importlib.util
import os
import sys
import traceback
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from aeros_core.errors import ConfigError, PluginError
from aeros_core.files import safe_open
from aeros_core.options.choices import FILE_VERSION
from aeros_core.plugins import import_check
from aeros_core.plugins.registration import said

__all__ = ["FLAG", "PluginFile", "check_name", "imported", "read", "unusable"]

FLAG = "--plugin"
"""The option of the command line that names a file."""

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


def read(path: str) -> PluginFile:
    """Read a file.

    Raises:
        ConfigError: It is missing, too large, or not a regular Python file.
    """
    asked = f"{FLAG} {path}"
    if not path.endswith(".py") or not PluginFile(path, b"").name.isidentifier():
        raise ConfigError(
            f"{asked} must be a Python file whose name can be imported",
            exists="letters, digits and _ before .py, the first not a digit",
            hint=f"{FLAG} my_rule.py",
        )
    hint = f"{FLAG} PATH of a Python file"
    try:
        with open(safe_open.open_regular(path, "", asked), "rb") as stream:  # noqa: PTH123
            source = stream.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(f"{asked}: {error.strerror or error}", hint=hint) from error
    except ConfigError as error:
        raise ConfigError(error.asked, hint=hint) from error
    if len(source) > LARGEST:
        raise ConfigError(f"{asked} must be at most {LARGEST:,} bytes")
    return PluginFile(path, source)


def check_name(file: PluginFile) -> None:
    """Refuse the name of a module that can be imported, unless it is this very file.

    Raises:
        ConfigError: There is such a module.
    """
    if file.name in sys.modules:
        origin = getattr(sys.modules[file.name], "__file__", None)
    else:
        origin = getattr(importlib.util.find_spec(file.name), "origin", None)
        if origin is None or _same(origin, file.path):
            return
    raise ConfigError(
        f"{FLAG} {file.path} has the name of a module that is installed",
        provider=origin or file.name,
        hint="rename the file",
    )


def _same(one: str, other: str) -> bool:
    try:
        return Path(one).samefile(other)
    except OSError:
        return False


def imported(file: PluginFile) -> ModuleType:
    """Import a file; what it does to the process meanwhile is put back.

    Raises:
        PluginError: It has a syntax error, raises, prints or changes the process.
    """
    try:
        module: ModuleType = import_check.load(file)
    except KeyboardInterrupt:
        raise
    except import_check.ProcessChange as error:
        raise unusable(file, str(error)) from error
    except SyntaxError as error:
        where = error.filename or file.path
        raise unusable(file, f"{type(error).__name__}: {error.msg}", error.lineno, where) from error
    except BaseException as error:
        raise unusable(file, said(error), _line(error, file.path)) from error
    return module


def _line(error: BaseException, path: str) -> int | None:
    """Return the line of the file in which an error arose."""
    lines = [line for frame, line in traceback.walk_tb(error.__traceback__)
             if frame.f_code.co_filename == path]  # fmt: skip
    return lines[-1] if lines else None


def unusable(
    file: PluginFile, why: str, line: int | None = None, path: str | None = None
) -> PluginError:
    """Return the error of a file that cannot be used.

    Args:
        file: The file.
        why: The reason.
        line: Line of the file, if it is known.
        path: Another file in which the error arose.
    """
    where = (path or file.path) + (f":{line}" if line else "")
    return PluginError(f"{where}: {why}", hint=f"correct {file.path}, which {FLAG} names")

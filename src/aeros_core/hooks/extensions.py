"""Records that registration hooks return for what is not an option of a configuration group.

Each names what it offers and where that is, as an import path ``package.module:function``:
nothing is imported before it is used, so that discovery stays quick.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = [
    "AlgorithmDelivery",
    "Command",
    "Extension",
    "Format",
    "OnnxExporter",
    "SubtaskKind",
]

_LONGEST = 64


@dataclass(frozen=True, slots=True)
class Extension:
    """One thing that a plugin offers under a name.

    Args:
        name: Lower case letters, digits, - and _; what is typed to choose it.
        target: Import path of what implements it, ``package.module:function``.

    Raises:
        ValueError: A field does not have its form.
        TypeError: A field is not text.
    """

    name: str
    target: str

    group: ClassVar[str] = ""
    """How `aeros plugins --json` calls what it is, as in ``command=serve``."""

    def __post_init__(self) -> None:
        """Refuse a name or an import path of another form."""
        _check_text(self, "name", self.name)
        _check_text(self, "target", self.target)
        if not re.fullmatch(r"[a-z][a-z0-9_-]*", self.name) or len(self.name) > _LONGEST:
            raise ValueError(
                f"{self.group} name {self.name[:_LONGEST]!r} is not lower case letters, digits,"
                f" - and _, at most {_LONGEST}"
            )
        if not _is_import_path(self.target, function=not isinstance(self, Format)):
            raise ValueError(
                f"{self.group} {self.name}: target {self.target[:200]!r} is not an import path"
                f" such as {_EXAMPLES.get(self.group, 'my_package.module:function')}"
            )


_EXAMPLES = {"format": "my_package.files"}


def _check_text(record: Extension, name: str, value: Any) -> None:
    if not isinstance(value, str):
        raise TypeError(f"{record.group}: {name} must be text, got {type(value).__name__}")


def _is_import_path(target: str, *, function: bool) -> bool:
    module, colon, attribute = target.partition(":")
    named = all(
        part.isidentifier() for part in [*module.split("."), *attribute.split(".")[: bool(colon)]]
    )
    inner = all(part.isidentifier() for part in attribute.split(".")) if colon else not function
    return named and inner


@dataclass(frozen=True, slots=True)
class Command(Extension):
    """A command of ``aeros``.

    The function is given the command's `argparse.ArgumentParser`, and sets the default
    ``command`` to a function of the parsed arguments that returns the exit code. With the
    default ``endures=True`` the command survives the loss of its terminal.

    Args:
        name: What is typed behind ``aeros``.
        target: The function.
        help: One line for ``aeros --help``.
        plugin_files: Whether the files of ``--plugin`` are loaded before the command starts.
            False: the command decides, and calls ``load`` of
            `aeros_core.plugins.single_files.plugin_files`.
    """

    help: str = ""
    plugin_files: bool = True

    group: ClassVar[str] = "command"

    def __post_init__(self) -> None:
        """Refuse a help that is not one line of text."""
        Extension.__post_init__(self)
        _check_text(self, "help", self.help)
        if not self.help.isprintable():
            raise ValueError(f"command {self.name}: help must be one line of printable text")


@dataclass(frozen=True, slots=True)
class Format(Extension):
    """A format of model files.

    The module has the functions of `aeros_core.models.formats.FormatModule`.

    Args:
        name: What is typed behind ``--format``.
        target: The module, ``package.module``.
        suffixes: How names of such files end, as in ``(".pt", ".pth")``.
    """

    suffixes: tuple[str, ...] = ()

    group: ClassVar[str] = "format"

    def __post_init__(self) -> None:
        """Refuse suffixes that are not like ``.pt``."""
        Extension.__post_init__(self)
        if not isinstance(self.suffixes, tuple):
            raise TypeError(f"format {self.name}: suffixes must be a tuple of texts")
        for suffix in self.suffixes:
            _check_text(self, "a suffix", suffix)
            if not re.fullmatch(r"\.[a-z0-9][a-z0-9_-]*", suffix) or len(suffix) > _LONGEST:
                raise ValueError(f"format {self.name}: suffix {suffix!r} is not one such as .pt")


@dataclass(frozen=True, slots=True)
class SubtaskKind(Extension):
    """A kind of sub-task that follows once a task's model is stored.

    The function is called before the task starts, with the `Subtask` and the task's resolved
    configuration, and refuses what it does not support. What it returns is called with the
    model's ``name``, ``version`` and ``digest`` when the task has ended well.

    Args:
        name: The kind, as in ``task.subtasks.NAME.kind``.
        target: The function.
        ends: Whether such a sub-task ends by itself; one that does not, as a server, is
            refused in a sweep.
    """

    ends: bool = True

    group: ClassVar[str] = "subtask"

    def __post_init__(self) -> None:
        """Refuse another ``ends`` than true and false."""
        Extension.__post_init__(self)
        if not isinstance(self.ends, bool):
            raise TypeError(f"subtask {self.name}: ends must be True or False")


@dataclass(frozen=True, slots=True)
class AlgorithmDelivery(Extension):
    """How algorithms that a task locks are installed for the time of the task.

    The function is given the task's name, its locks by algorithm and a repository. It verifies
    by the rules of its own site, and returns a context manager that yields the `Registry` with
    the algorithms among the plugins. A controller's process and every node's call the same.

    Args:
        name: Name of the delivery, for `aeros plugins`.
        target: The function.
    """

    group: ClassVar[str] = "delivery"


@dataclass(frozen=True, slots=True)
class OnnxExporter(Extension):
    """How a plugin's modules are written as ONNX.

    The function is called with a `Model` and its module, and returns None if the module is not
    of its kind; else a serialised ONNX model whose inputs are the schema's features and whose
    outputs are the predictions of the plugin's own inferencer, and a function that predicts so.
    Outputs whose names begin with ``exit.`` are those of an early exit, used by stages alone.

    Args:
        name: Name of the exporter, for `aeros plugins`.
        target: The function.
    """

    group: ClassVar[str] = "onnx_exporter"

"""Registration hooks of commands, file formats, kinds of sub-tasks and the like.

Each hook returns a list of records whose targets are import paths, imported when they are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aeros_core.hooks.extensions import (
    AlgorithmDelivery,
    Command,
    Extension,
    Format,
    OnnxExporter,
    SubtaskKind,
)
from aeros_core.hooks.hook_markers import hookspec

__all__ = ["RECORDS", "ExtensionHooks"]

RECORDS: Mapping[str, type[Extension]] = {
    "aeros_commands": Command,
    "aeros_formats": Format,
    "aeros_subtasks": SubtaskKind,
    "aeros_deliveries": AlgorithmDelivery,
    "aeros_onnx_exporters": OnnxExporter,
}
"""The record that each of these hooks returns a list of."""


class ExtensionHooks:
    """Called once for every plugin, at discovery."""

    @hookspec
    def aeros_commands(self) -> Sequence[Command]:
        """Offer commands of ``aeros``; see `extensions.Command` for what the target does.

        Example::

            from aeros_core import Command, hookimpl

            @hookimpl
            def aeros_commands():
                return [Command("greet", "my_package.cli:add_greet", help="say hello")]

            # my_package/cli.py
            def add_greet(parser):
                parser.add_argument("--times", type=int, default=1)
                parser.set_defaults(command=greet)

            def greet(parsed):
                print("hello " * parsed.times)
                return 0
        """
        raise NotImplementedError

    @hookspec
    def aeros_formats(self) -> Sequence[Format]:
        """Offer formats of model files for ``aeros models import`` and ``export``.

        Example::

            from aeros_core import Format, hookimpl

            @hookimpl
            def aeros_formats():
                return [Format("msgpack", "my_package.files", suffixes=(".mpk",))]

            # my_package/files.py
            def load(path, name):
                return Model(name, Parameters.of(unpack(path.read_bytes())), Schema(()))

            def save(path, model):
                return path.write_bytes(pack(dict(model.parameters.items())))
        """
        raise NotImplementedError

    @hookspec
    def aeros_subtasks(self) -> Sequence[SubtaskKind]:
        """Offer kinds of sub-tasks: ``task.subtasks.NAME.kind=<name>``.

        Example::

            from aeros_core import SubtaskKind, hookimpl

            @hookimpl
            def aeros_subtasks():
                return [SubtaskKind("announce", "my_package.subtasks:announce")]

            # my_package/subtasks.py
            def announce(subtask, config):
                channel = subtask.options["channel"]
                return lambda model: post(channel, f"{model['name']}:{model['version']}")
        """
        raise NotImplementedError

    @hookspec
    def aeros_deliveries(self) -> Sequence[AlgorithmDelivery]:
        """Offer to install the algorithms that ``task.algorithms`` locks.

        Example::

            from aeros_core import AlgorithmDelivery, hookimpl

            @hookimpl
            def aeros_deliveries():
                return [AlgorithmDelivery("wheels", "my_package.delivery:installed")]

            # my_package/delivery.py
            @contextmanager
            def installed(task, pins, repository):
                with on_the_path(verified(pins, repository)):
                    yield plugins.discover()
        """
        raise NotImplementedError

    @hookspec
    def aeros_onnx_exporters(self) -> Sequence[OnnxExporter]:
        """Offer to write modules as ONNX.

        Example::

            from aeros_core import OnnxExporter, hookimpl

            @hookimpl
            def aeros_onnx_exporters():
                return [OnnxExporter("jax", "my_package.onnx:graph")]

            # my_package/onnx.py
            def graph(model, module):
                if not isinstance(module, JaxModule):
                    return None
                return to_onnx(module, model).SerializeToString(), predictor(module, model)
        """
        raise NotImplementedError

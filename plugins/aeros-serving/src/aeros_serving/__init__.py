"""Models behind the Open Inference Protocol v2; the command ``aeros serve``.

Importing this module imports no server; see `aeros_serving.config` for the options. Begin with
`aeros_serving.server`, which puts models, REST and gRPC together; requests are batched in
`aeros_serving.models.queue`.

Inferencers do not belong here; they live in plugins such as aeros-torch and aeros-onnx.
"""

from collections.abc import Mapping
from typing import Any

from aeros_core import Command, SubtaskKind, hookimpl
from aeros_serving.config import Promote

__all__ = ["aeros_callbacks", "aeros_commands", "aeros_subtasks"]


@hookimpl
def aeros_callbacks() -> Mapping[str, type[Any]]:
    """Offer the callback of this package."""
    return {"promote": Promote}


@hookimpl
def aeros_commands() -> list[Command]:
    """Offer ``aeros serve``."""
    return [Command("serve", "aeros_serving.cli:add_serve", help="serve models")]


@hookimpl
def aeros_subtasks() -> list[SubtaskKind]:
    """Offer the sub-task that serves what a task has trained."""
    return [SubtaskKind("serve", "aeros_serving.subtask:follow", ends=False)]

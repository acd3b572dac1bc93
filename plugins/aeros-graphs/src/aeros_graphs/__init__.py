"""aeros-graphs: inferencers that combine other inferencers, local or remote.

Importing this module does not import numpy; see `aeros_graphs.config` for the options. Begin
with `aeros_graphs.graph`, the base class, then `aeros_graphs.switch`.

Models do not belong here: a graph calls inferencers of other plugins.
"""

from __future__ import annotations

from typing import Any

from aeros_core import hookimpl
from aeros_graphs import config

__all__ = ["aeros_inferencers"]


@hookimpl
def aeros_inferencers() -> dict[str, type[Any]]:
    """Register ``inferencer=sequence|ensemble|switch|splitter|remote``."""
    return {
        "sequence": config.Sequence,
        "ensemble": config.Ensemble,
        "switch": config.Switch,
        "splitter": config.Splitter,
        "remote": config.Remote,
    }

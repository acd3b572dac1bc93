"""The ServerApp of aeros: its rounds on somebody else's SuperLink, by Flower's public API alone.

Under ``flwr run`` the app's configuration says what runs, ``aeros = "experiment=digits"``, for
how many nodes it waits (``nodes``, 1), and for how many seconds (``wait``, 300). Nodes are stock
SuperNodes that run `aeros_flower.client_app`, or executors.
"""

from __future__ import annotations

import shlex
from typing import Any

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from aeros_core.config import build, store
from aeros_core.errors import ConfigError
from aeros_core.plugins import discovery
from aeros_core.reporting.progress import progress
from aeros_flower.controller.simulation import rounds
from aeros_flower.superlink.grid import GridTransport

__all__ = ["app"]

_TICK = 0.25
"""Seconds between two questions for answers: each is a request to the SuperLink."""

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the task that the app's configuration names."""
    told = context.run_config
    words = shlex.split(str(told.get("aeros", "")))
    nodes, wait = _number(told.get("nodes", 1), "nodes", 1), _number(told.get("wait", 300), "wait")
    registry = discovery.discover()
    with store.preserved_store():
        cfg = store.load(words, registry)
    job = build.build(cfg, registry, listeners=[progress()])
    rounds(job.task, job.parts, GridTransport(grid, _TICK), int(nodes), wait)


def _number(value: Any, name: str, least: float = 0.0) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
        raise ConfigError(
            f"{name}={value} in the app's configuration is not a number from {least:g}",
            hint=f"{name} = {max(least, 1):g} below [tool.flwr.app.config]",
        )
    return value

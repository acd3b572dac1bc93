"""The controller that runs a task on Flower's simulation engine, which is Ray's."""

from __future__ import annotations

import functools
import importlib.util
import time
from typing import TYPE_CHECKING, Any

from aeros_core.controllers import execution
from aeros_core.errors import ConfigError, TaskError
from aeros_core.reporting.text import counted
from aeros_core.results import Result, Status
from aeros_core.roles.collector import SupportsCodec
from aeros_core.roles.components import Components
from aeros_core.tasks.task import Task
from aeros_flower.controller import controller
from aeros_flower.controller.nodes import FlowerNodes
from aeros_flower.controller.schema_agreement import Agreement
from aeros_flower.membership.executors import Executors
from aeros_flower.superlink.embedded import quiet
from aeros_flower.superlink.grid import GridTransport
from aeros_flower.system.network import say

if TYPE_CHECKING:
    from flwr.app import Context
    from flwr.serverapp import Grid

__all__ = ["SimulationController", "rounds"]


class SimulationController:
    """Runs a task on virtual nodes of Ray (``controller=flower_simulation``).

    The options are those of `aeros_flower.config.FlowerSimulation`.

    Raises:
        ConfigError: Ray is not installed, or an option is out of its range.
    """

    def __init__(self, *, nodes: int, cpus: float, gpus: float, wait: float) -> None:
        if nodes < 1 or cpus <= 0 or gpus < 0 or wait < 0:
            raise ConfigError(
                f"controller.nodes={nodes} cpus={cpus:g} gpus={gpus:g} wait={wait:g}"
                " is no simulation",
                exists="one node or more, cpus above 0, gpus and wait from 0",
                hint="controller.nodes=2 controller.cpus=1",
            )
        if importlib.util.find_spec("ray") is None:
            raise ConfigError(
                "controller=flower_simulation needs Ray, which is not installed",
                exists="controller=local simulates on this machine without it",
                hint="pip install 'aeros-flower[simulation]'",
            )
        self._nodes, self._wait = nodes, wait
        self._resources: dict[str, Any] = {"num_cpus": cpus, "num_gpus": gpus}

    def run(self, task: Task, parts: Components) -> Result:
        """Prepare the data, start the engine, and run the rounds on its nodes.

        Raises:
            ConfigError: The parts do not fit; nothing began.
            TaskError: The engine did not start, or the task could not go on.
        """
        quiet()
        from flwr.serverapp import ServerApp
        from flwr.simulation import run_simulation

        from aeros_flower.client_app import simulated

        parts.events.aeros_on_status(task=task, status=Status.SUBMITTED)
        server, ended = ServerApp(), list[Result | BaseException]()

        @server.main()
        def main(grid: Grid, context: Context) -> None:  # noqa: ARG001 - the form Flower calls
            try:
                ended.append(rounds(task, parts, GridTransport(grid), self._nodes, self._wait))
            except BaseException as error:  # it is raised where the task was asked for
                ended.append(error)

        run_simulation(
            server, simulated, self._nodes, backend_config={"client_resources": self._resources}
        )
        if not ended:
            raise TaskError(
                "Flower's simulation engine ended before the task did",
                hint="controller.cpus must not be above what this machine has",
            )
        if isinstance(ended[0], BaseException):
            raise ended[0]
        return ended[0]


def rounds(task: Task, parts: Components, post: GridTransport, nodes: int, wait: float) -> Result:
    """Prepare the data, wait for nodes that run the ClientApp of aeros, and run the rounds.

    Args:
        task: What to run.
        parts: With what.
        post: On whom.
        nodes: To wait for before the first round.
        wait: Seconds to wait for them.

    Raises:
        ConfigError: The parts do not fit; nothing began.
        TaskError: Too few nodes came, or the task could not go on.
    """
    data, model = execution.prepare(task, parts)
    ask = functools.partial(controller.note, parts, model)
    known = None if model else Agreement(task, parts, data, ask)
    judged, chosen = controller.judge(parts, model, known), controller.choose(task, model)
    asked = ask() if known is None else known.message()
    roster = Executors(post, asked, judged, say, chosen)
    ends = time.monotonic() + wait
    while len(roster.members) < nodes and time.monotonic() < ends:
        parts.control.check()
        roster.refresh()
        post.wait(1.0)
    missing = roster.unfit | roster.aside
    if missing or len(roster.fit) < nodes:
        raise TaskError(
            f"{len(roster.fit)} of {counted(nodes, 'node')} came within {wait:g} s",
            exists="; ".join(f"{name}: {why}" for name, why in missing.items()),
            hint="controller.wait=SECONDS, or wait in an app's configuration, waits longer",
        )
    parts.events.aeros_on_status(task=task, status=Status.PLANNED)
    codec = parts.collector.codec if isinstance(parts.collector, SupportsCodec) else None
    if known is not None:
        data = known.reach(roster, post, wait, parts.control.check)
    there = FlowerNodes(post, roster, data.partition, codec)
    return execution.run(task, parts, there, data, model)

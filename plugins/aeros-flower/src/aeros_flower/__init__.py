"""Tasks on real machines: ``controller=flower``, and ``aeros up``, ``executor``, ``down``.

Begin with `aeros_flower.controller.controller`, the task's side, and
`aeros_flower.executor.executor`, the process on each machine; `aeros_flower.protocol` says what
travels between them. `client_app` and `server_app` are the apps for Flower's own processes.

The round loop does not belong here, see `aeros_core.federated`.
"""

from aeros_core import Command, hookimpl
from aeros_flower.config import Flower, FlowerSimulation, Metrics

__all__ = [
    "Flower",
    "FlowerSimulation",
    "Metrics",
    "aeros_callbacks",
    "aeros_commands",
    "aeros_controllers",
]


@hookimpl
def aeros_controllers() -> dict[str, type]:
    """Offer ``controller=flower`` and ``controller=flower_simulation``."""
    return {"flower": Flower, "flower_simulation": FlowerSimulation}


@hookimpl
def aeros_callbacks() -> dict[str, type]:
    """Offer ``callback=[metrics]``."""
    return {"metrics": Metrics}


@hookimpl
def aeros_commands() -> list[Command]:
    """Offer the commands that start and stop controllers and executors."""
    return [
        Command("certs", "aeros_flower.cli.certs:add_certs", help="certificates and keys"),
        Command(
            "executor",
            "aeros_flower.cli.executor:add_executor",
            help="run an executor here",
            plugin_files=False,  # the policy of the site decides
        ),
        Command("up", "aeros_flower.cli.executor:add_up", help="start a controller that stands by"),
        Command("down", "aeros_flower.cli.executor:add_down", help="stop what aeros up started"),
    ]

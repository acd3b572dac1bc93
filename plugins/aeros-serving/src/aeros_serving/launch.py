"""The choice between a server in this process and one in several."""

from __future__ import annotations

from aeros_serving.lifecycle import Served
from aeros_serving.server import Server
from aeros_serving.workers.configuration import Configuration
from aeros_serving.workers.supervisor import Supervisor

__all__ = ["server_of"]


def server_of(configuration: Configuration) -> Served:
    """Return a server, not started yet: of ``serving.workers`` processes, or of this one.

    Raises:
        ConfigError: The options contradict one another, or the repository cannot be built.
    """
    if configuration.options.workers > 1:
        return Supervisor(configuration)
    return Server(configuration.loader(), configuration.options)

"""Algorithms as signed wheels; the command ``aeros algorithms``.

It offers no option of its own: what it installs for a task does. Begin with
`aeros_algorithms.policy`, a node's rules and the installation by them, and `aeros_algorithms.cli`.

The lock file of a task does not belong here, see `aeros_core.config.lockfile`.
"""

from aeros_core import AlgorithmDelivery, Command, hookimpl

__all__ = ["aeros_commands", "aeros_deliveries"]


@hookimpl
def aeros_commands() -> list[Command]:
    """Offer ``aeros algorithms``."""
    return [
        Command(
            "algorithms",
            "aeros_algorithms.cli:add_algorithms",
            help="push, list, lock and remove signed algorithms",
        )
    ]


@hookimpl
def aeros_deliveries() -> list[AlgorithmDelivery]:
    """Offer to install signed wheels that a task locks."""
    return [AlgorithmDelivery("wheels", "aeros_algorithms.delivery:delivered")]

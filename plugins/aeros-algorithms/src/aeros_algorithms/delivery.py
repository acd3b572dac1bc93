"""What the core asks of whoever delivers algorithms: the entry point ``aeros.delivery``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aeros_algorithms.activation import registered
from aeros_algorithms.keys.trust_folder import announce
from aeros_algorithms.policy import AlgorithmPolicy, fetch
from aeros_core.plugins.registry import Registry
from aeros_core.roles.repository import SupportsAlgorithms
from aeros_core.tasks.algorithm_pin import AlgorithmPin

__all__ = ["delivered"]


@contextmanager
def delivered(
    task: str, pins: Mapping[str, AlgorithmPin], repository: SupportsAlgorithms
) -> Iterator[Registry]:
    """Yield what is installed with what a task locks, by the rules of `AlgorithmPolicy.here`.

    Everything is verified each time, whatever was installed before.

    Raises:
        RepositoryError: An algorithm is not stored, or is refused.
        ConfigError: The site's keys cannot be read.
    """
    site = AlgorithmPolicy.here()
    announce(site.keys)
    with registered(fetch(site, task, pins, repository)) as registry:
        yield registry

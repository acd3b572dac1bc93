"""What the core asks of whoever delivers algorithms: the entry point ``aeros.delivery``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from aeros_algorithms.folders import announce
from aeros_algorithms.registering import registered
from aeros_algorithms.site import Site, fetch
from aeros_core.registry import Registry
from aeros_core.storage_powers import SupportsAlgorithms
from aeros_core.task import Pin

__all__ = ["delivered"]


@contextmanager
def delivered(
    task: str, pins: Mapping[str, Pin], repository: SupportsAlgorithms
) -> Iterator[Registry]:
    """Yield what is installed with what a task locks among it, by the rules of `Site.here`.

    Everything is verified each time, whatever was installed before.

    Raises:
        RepositoryError: An algorithm is not stored, or is refused.
        ConfigError: The site's keys cannot be read.
    """
    site = Site.here()
    announce(site.keys)
    with registered(fetch(site, task, pins, repository)) as registry:
        yield registry

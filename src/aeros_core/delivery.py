"""Algorithms that a task locks: delivered for it, and gone when it ends.

Who installs them is a plugin: a function named by an entry point of the group
``aeros.delivery`` is given the task's name, what it locks and a repository, verifies by
the rules of its own site, and returns a context manager that yields the `Registry` with
the algorithms among the plugins. A controller's process and every node's call the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeAlias

from aeros_core import compose, config, plugins, words
from aeros_core.errors import ConfigError, PluginError
from aeros_core.installed import entry_points
from aeros_core.loading import GuardedLoader
from aeros_core.registry import Registry
from aeros_core.storage_powers import SupportsAlgorithms
from aeros_core.task import Pin, Task

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from aeros_core.roles import Repository

__all__ = ["Delivery", "delivered"]

GROUP = "aeros.delivery"

Installer: TypeAlias = Callable[
    [str, Mapping[str, Pin], SupportsAlgorithms], AbstractContextManager[Registry]
]


@contextmanager
def delivered(
    task: str, pins: Mapping[str, Pin], repository: Callable[[], Repository]
) -> Iterator[Registry]:
    """Yield what is installed, with the algorithms that a task locks among it.

    Args:
        task: Name of the task.
        pins: What it locks, by name; nothing is opened where it locks nothing.
        repository: Opens the repository that has them; it need not be trusted.

    Raises:
        PluginError: Nobody here installs algorithms.
        ConfigError: The repository keeps none, or this site's keys cannot be read.
        RepositoryError: An algorithm is missing, or this site refuses it.
    """
    if not pins:
        yield plugins.discover()
        return
    install, opened = _installer(), repository()
    if not isinstance(opened, SupportsAlgorithms):
        raise words.without(opened, "SupportsAlgorithms", "keep algorithms")
    with install(task, pins, opened) as registry:
        yield registry


def _installer() -> Installer:
    found = list(entry_points(group=GROUP))
    if len(found) != 1:
        raise PluginError(
            "task.algorithms asks for algorithms, and "
            + ("several packages deliver them" if found else "nothing here delivers them"),
            provider=" and ".join(entry.dist.name if entry.dist else "?" for entry in found),
            hint="pip uninstall all but one" if found else "pip install aeros-algorithms",
        )
    installer: Installer = found[0].load()
    return installer


class Delivery:
    """What ``aeros run`` may choose from: what is installed, and what its task locks.

    Entered around Hydra: whatever is composed meanwhile, one run or the jobs of a sweep in
    turn, finds the algorithms of its own task, and none of another's.

    Args:
        registry: What is installed.
    """

    def __init__(self, registry: Registry) -> None:
        self._installed = registry
        self._pins: Mapping[str, Pin] = {}
        self._lasting = ExitStack()
        self.registry = registry

    def __enter__(self) -> Delivery:
        """Let Hydra's loader ask for algorithms."""
        GuardedLoader.arrive, GuardedLoader.leave = self.arrive, self.leave
        return self

    def __exit__(self, *_: object) -> None:
        """Take everything back."""
        GuardedLoader.arrive = GuardedLoader.leave = None
        self.leave()

    def arrive(self, cfg: DictConfig) -> bool:
        """Take what the task of this configuration locks; tell whether it locks anything."""
        task = compose.task_of(cfg)
        if not task.algorithms:
            return False

        def repository() -> Repository:
            node = config.plain(cfg.repository)
            built: Repository = compose.build_part(self._installed, "repository", node)
            return built

        self._lasting.enter_context(config.kept())
        self.registry = self._lasting.enter_context(
            delivered(task.name, task.algorithms, repository)
        )
        self._pins = task.algorithms
        config.register(self.registry)
        return True

    def leave(self) -> None:
        """Let the algorithms be gone."""
        self._lasting.close()
        self.registry, self._pins = self._installed, {}

    def check(self, task: Task) -> None:
        """Make sure that exactly what a task locks has arrived.

        Raises:
            ConfigError: It was composed where nobody delivers algorithms, as in a process
                of another launcher.
        """
        if dict(task.algorithms) != dict(self._pins):
            raise ConfigError(
                "the algorithms of task.algorithms have not been delivered to this process",
                exists=", ".join(self._pins) or "none",
                hint="hydra/launcher=basic",
            )

"""Algorithms that a task locks: delivered for it, and gone when it ends.

A plugin installs them: the function that it registers with the hook ``aeros_deliveries``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, TypeAlias

from aeros_core.config import build, store
from aeros_core.config.loading.loader import GuardedLoader
from aeros_core.errors import ConfigError, PluginError
from aeros_core.hooks.extensions import AlgorithmDelivery
from aeros_core.plugins import discovery, extension_lookup
from aeros_core.plugins.registry import Registry
from aeros_core.roles.repository import SupportsAlgorithms
from aeros_core.tasks.algorithm_pin import AlgorithmPin
from aeros_core.tasks.task import Task

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from aeros_core.roles.repository import Repository

__all__ = ["Delivery", "delivered"]

Installer: TypeAlias = Callable[
    [str, Mapping[str, AlgorithmPin], SupportsAlgorithms], AbstractContextManager[Registry]
]


@contextmanager
def delivered(
    task: str, pins: Mapping[str, AlgorithmPin], repository: Callable[[], Repository]
) -> Iterator[Registry]:
    """Yield what is installed, with the algorithms that a task locks among it.

    Args:
        task: Name of the task.
        pins: What it locks, by name; nothing is opened where it locks nothing.
        repository: Opens the repository that has them; it need not be trusted.

    Raises:
        PluginError: No plugin installs algorithms, or several do.
        ConfigError: The repository keeps none, or this site's keys cannot be read.
        RepositoryError: An algorithm is missing, or this site refuses it.
    """
    if not pins:
        yield discovery.discover()
        return
    install, opened = _installer(), repository()
    if not isinstance(opened, SupportsAlgorithms):
        raise ConfigError(
            f"{type(opened).__name__} is a repository that cannot keep algorithms: it has no"
            " SupportsAlgorithms",
            hint="repository=<another one>; aeros plugins lists them",
        )
    with install(task, pins, opened) as registry:
        yield registry


def _installer() -> Installer:
    registry, group = discovery.discover(), AlgorithmDelivery.group
    found = extension_lookup.names(registry, group)
    clashes = [
        each for (g, _), several in registry.clashes.items() if g == group for each in several
    ]
    providers = [registry.extensions[group, name].plugin for name in found] + clashes
    if len(providers) > 1:
        raise PluginError(
            "task.algorithms asks for algorithms, and several packages deliver them",
            provider=" and ".join(str(plugin) for plugin in providers),
            hint=f"pip uninstall {providers[-1].distribution}",
        )
    if not found:
        said = "task.algorithms asks for algorithms, and nothing here delivers them"
        raise extension_lookup.missing(registry, group, "", said, "aeros-algorithms")
    chosen = registry.extensions[group, found[0]]
    installer: Installer = extension_lookup.load(chosen, f"delivery {found[0]}")
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
        self._pins: Mapping[str, AlgorithmPin] = {}
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
        task = build.task_of(cfg)
        if not task.algorithms:
            return False

        def repository() -> Repository:
            node = store.plain(cfg.repository)
            built: Repository = build.build_part(self._installed, "repository", node)
            return built

        self._lasting.enter_context(store.preserved_store())
        self.registry = self._lasting.enter_context(
            delivered(task.name, task.algorithms, repository)
        )
        self._pins = task.algorithms
        store.register(self.registry)
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

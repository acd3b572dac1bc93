"""Hydra's loader, held back and helped: nothing foreign runs, and what a task locks arrives.

An option of an algorithm that a task locks exists only once the algorithm is installed,
and which it locks may stand in any file of the configuration. So the configuration is
composed; if that fails, or it locks something, the task and the repository alone are
composed, the algorithms are taken from there, and the whole is composed again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aeros_core import guard
from aeros_core.task import check_name

__all__ = ["GuardedLoader"]

_NOT_COMPOSED = (HydraException, OmegaConfBaseException)

_DECIDING = ("task", "task.name", "task.algorithms", "repository", "deployment", "experiment",
             "hydra.searchpath")  # fmt: skip
"""What says which algorithms a task locks, and where they are."""


class GuardedLoader(ConfigLoaderImpl):
    """Hydra's loader of configurations.

    Attributes:
        arrive: Takes what a task locks, from its configuration of task and repository;
            returns whether there was anything. None: algorithms are not delivered here.
        leave: Takes back what arrived.
    """

    arrive: ClassVar[Callable[[DictConfig], bool] | None] = None
    leave: ClassVar[Callable[[], None] | None] = None

    def load_configuration(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode,
        *args: Any, **options: Any,
    ) -> DictConfig:  # fmt: skip
        """Return the composed configuration, of a run or of each job of a sweep.

        Raises:
            ConfigError: It would run foreign code, or the task cannot be called so.
            RepositoryError: An algorithm that the task locks is refused.
        """
        if GuardedLoader.leave:
            GuardedLoader.leave()
        told = (config_name, overrides, run_mode, *args)
        try:
            composed = super().load_configuration(*told, **options)
        except _NOT_COMPOSED:
            if not self._arrived(config_name, overrides):
                raise
            composed = super().load_configuration(*told, **options)
        else:
            locks = OmegaConf.select(composed, "task.algorithms") and run_mode is RunMode.RUN
            if locks and self._arrived(config_name, overrides):
                composed = super().load_configuration(*told, **options)
        guard.check(composed.hydra)
        name = OmegaConf.select(composed, "task.name", throw_on_resolution_failure=False)
        if isinstance(name, str):  # before Hydra makes the folder that is called as the task is
            check_name(name)
        return composed

    def _arrived(self, config_name: str | None, overrides: Sequence[str]) -> bool:
        if GuardedLoader.arrive is None:
            return False
        words = [word for word in overrides if _decides(word)]
        survey = ConfigLoaderImpl(self.config_search_path)
        survey.repository = _Lenient(self.config_search_path)
        try:
            told = survey.load_configuration(config_name, words, RunMode.MULTIRUN)
        except _NOT_COMPOSED:
            if any("task.algorithms" in word for word in words):
                raise
            return False
        return GuardedLoader.arrive(told)


class _Lenient(ConfigRepository):
    """Every option that is looked for, an empty one where there is none."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        found: ConfigResult | None = super().load_config(config_path)
        if found is None and "/" in config_path and not config_path.startswith("repository/"):
            return ConfigResult("", config_path, OmegaConf.create(), {"package": None}, [])
        return found


def _decides(word: str) -> bool:
    key = word.lstrip("+~").partition("=")[0]
    return key in _DECIDING or key.startswith(("repository.", "task.algorithms."))

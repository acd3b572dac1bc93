"""Hydra's loader, held back and helped: nothing foreign runs, and what a task locks arrives.

An option of an algorithm that a task locks exists only once the algorithm is installed,
and which it locks may stand in any file of the configuration. So the configuration is
composed; if that fails, or it locks something, the task and the repository alone are
composed, the algorithms are taken from there, and the whole is composed again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

from hydra.core.config_search_path import ConfigSearchPath
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aeros_core.config import sweepers
from aeros_core.config.loading import allowlist, directories
from aeros_core.config.loading.checked_loader import CheckedLoader, CheckedRepository
from aeros_core.tasks.task import check_name

__all__ = ["GuardedLoader"]

_NOT_COMPOSED = (HydraException, OmegaConfBaseException)

_DECIDING = ("task", "task.name", "task.algorithms", "repository", "deployment", "experiment",
             "hydra.searchpath")  # fmt: skip
"""What says which algorithms a task locks, and where they are."""


class GuardedLoader(CheckedLoader):
    """Hydra's loader of configurations.

    Attributes:
        typed: The words that a person typed on the command line.
        arrive: Takes what a task locks, from its configuration of task and repository;
            returns whether there was anything. None: algorithms are not delivered here.
        leave: Takes back what arrived.
    """

    arrive: ClassVar[Callable[[DictConfig], bool] | None] = None
    leave: ClassVar[Callable[[], None] | None] = None
    typed: ClassVar[Sequence[str]] = ()

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path, typed=GuardedLoader.typed)

    @classmethod
    @contextmanager
    def typing(cls, words: Sequence[str]) -> Iterator[None]:
        """Take these words for what a person typed, meanwhile."""
        cls.typed = tuple(words)
        try:
            yield
        finally:
            cls.typed = ()

    def load_configuration(
        self, config_name: str | None, overrides: list[str], run_mode: RunMode,
        *args: Any, **options: Any,
    ) -> DictConfig:  # fmt: skip
        """Return the composed configuration, of a run or of each job of a sweep.

        Raises:
            ConfigError: It would run foreign code, or the task cannot be called so.
            PluginError: A plugin's launcher or sweeper cannot be used.
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
        allowlist.check_plugins(composed.hydra)
        sweepers.load(composed.hydra)
        name = OmegaConf.select(composed, "task.name")
        if isinstance(name, str):  # before Hydra makes the folder that is called as the task is
            check_name(name)
            OmegaConf.update(composed, "task.name", name)
        directories.settle(composed, self.settings)
        return composed

    def _arrived(self, config_name: str | None, overrides: Sequence[str]) -> bool:
        if GuardedLoader.arrive is None:
            return False
        words = [word for word in overrides if _decides(word)]
        survey = CheckedLoader(self.config_search_path, typed=self.typed_words)
        survey.repository = _Lenient(self.config_search_path)
        try:
            told = survey.load_configuration(config_name, words, RunMode.MULTIRUN)
        except _NOT_COMPOSED:
            if any("task.algorithms" in word for word in words):
                raise
            return False
        return GuardedLoader.arrive(told)


class _Lenient(CheckedRepository):
    """Every option that is looked for, an empty one where there is none."""

    def load_config(self, config_path: str) -> ConfigResult | None:
        found: ConfigResult | None = super().load_config(config_path)
        if found is None and "/" in config_path and not config_path.startswith("repository/"):
            return ConfigResult("", config_path, OmegaConf.create(), {"package": None}, [])
        return found


def _decides(word: str) -> bool:
    key = word.lstrip("+~").partition("=")[0]
    return key in _DECIDING or key.startswith(("repository.", "task.algorithms."))

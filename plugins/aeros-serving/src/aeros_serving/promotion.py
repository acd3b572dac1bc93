"""The last step of a task: what it has trained is what is served."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any

from aeros_core import hookimpl
from aeros_core.config import build
from aeros_core.errors import ConfigError
from aeros_core.plugins import discovery
from aeros_core.records import Run
from aeros_core.results import Result, Status
from aeros_core.roles.repository import SupportsTags

__all__ = ["Promotion", "movable"]

_log = logging.getLogger(__name__)


def _repository(node: Mapping[str, Any]) -> object:
    return build.build_part(discovery.discover(), "repository", node)


def movable(option: str, tag: str) -> str:
    """Return a tag that can be moved.

    Raises:
        ConfigError: It is the repository's own, or a version.
    """
    if not tag or tag == "latest" or tag.isdecimal():
        raise ConfigError(
            f"{option}={tag} cannot be moved",
            exists="any name but latest and numbers",
            hint=f"{option}=production",
        )
    return tag


class Promotion:
    """Moves a tag to the model of a task that ends well; options as `config.Promote`.

    Args:
        tag: See there.
        metric: See there.
        least: See there.
        most: See there.
        open_: Opens the repository that a run's configuration names.

    Raises:
        ConfigError: A limit is set for no metric, or the tag cannot be one.
    """

    def __init__(
        self,
        *,
        tag: str,
        metric: str,
        least: float | None,
        most: float | None,
        open_: Callable[[Mapping[str, Any]], object] = _repository,
    ) -> None:
        movable("callback.promote.tag", tag)
        if bool(metric) != (least is not None or most is not None):
            raise ConfigError(
                "callback.promote.metric goes with callback.promote.least or .most",
                hint="callback.promote.metric=accuracy callback.promote.least=0.9",
            )
        self._tag, self._metric, self._least, self._most = tag, metric, least, most
        self._open = open_
        self._repository: object = None

    @hookimpl
    def aeros_before_task(self, run: Run) -> None:
        """Open the repository, so that one without tags is told before anything runs.

        Raises:
            ConfigError: Its models have no tags.
        """
        self._repository = self._open(run.config["repository"])
        if not isinstance(self._repository, SupportsTags):
            raise ConfigError(
                "callback=[promote] moves a tag, and this repository has none",
                hint="repository=zarr",
            )

    @hookimpl
    def aeros_after_task(self, result: Result) -> None:
        """Move the tag, unless the task or its metric say otherwise."""
        if result.status is not Status.FINISHED or not result.model:
            return
        name, version = str(result.model["name"]), int(result.model["version"])
        if why := self._refusal(result.metrics):
            _log.warning("'%s' of model '%s' stays where it is: %s", self._tag, name, why)
        elif isinstance(self._repository, SupportsTags):
            self._repository.tag(name, self._tag, version)

    def _refusal(self, metrics: Mapping[str, float]) -> str:
        """Return why the tag stays; empty: it moves."""
        if not self._metric:
            return ""
        value = metrics.get(self._metric)
        if value is None:
            told = ", ".join(sorted(metrics)) or "none"
            return f"{self._metric} was not measured, but {told}"
        low = -float("inf") if self._least is None else self._least
        high = float("inf") if self._most is None else self._most
        if low <= value <= high:
            return ""
        return f"{self._metric} {value:.4f} is not from {low:g} to {high:g}"

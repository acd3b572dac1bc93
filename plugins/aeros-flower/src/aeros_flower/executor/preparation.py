"""From what a controller asks for to a job, by what the site sets and gives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aeros_core.errors import ConfigError
from aeros_core.files.data_files import NOWHERE
from aeros_core.plugins.registry import Registry
from aeros_flower.executor.task_job import TaskJob
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.site.loading import files_of
from aeros_flower.site.policy.options import SiteOptions
from aeros_flower.site.policy.policy import Policy
from aeros_flower.site.rules import Request

__all__ = ["prepared"]


def prepared(registry: Registry, place: ExecutorInfo, policy: Policy, asked: Request) -> TaskJob:
    """Return what an executor builds for a task, with what its site sets.

    Args:
        registry: What is installed.
        place: What the executor is.
        policy: Of its site.
        asked: What its controller asks for.

    Raises:
        AerosError: A plugin is missing, or the data cannot be used.
    """
    options = SiteOptions(
        registry,
        (*policy.settings, *place.settings),
        own=place.own,
        files=files_of(place, policy),
        allowed=lambda address: policy.names("remote_inferencers", address),
    )
    config = options.configured(asked.config)
    model = None if asked.model is None else options.delivered(asked.model)
    client = place.name if place.own else None
    try:
        return TaskJob(registry, config, client, model, NOWHERE, asked.plan)
    except ConfigError as error:
        if _is_the_sites(registry, config, error.hint):
            error.hint = f"--set {error.hint}"
        raise


def _is_the_sites(registry: Registry, config: Mapping[str, Any], hint: str) -> bool:
    """Tell whether what is to be typed next sets an option that no controller sets."""
    key = hint.partition("=")[0]
    parts = (registry.located(node, group) for group, node in config.items())
    return any(found.where == key for located in parts for found in located)

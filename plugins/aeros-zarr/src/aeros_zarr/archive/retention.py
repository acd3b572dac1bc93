"""Remove old model versions after a run finishes, as ``repository.keep_…`` options define."""

from __future__ import annotations

import logging
from typing import Protocol

from aeros_core.errors import AerosError, ConfigError
from aeros_core.models.retention import Rules, doomed, unfinished
from aeros_core.roles.repository import Repository, SupportsCollection, SupportsRemoval

__all__ = ["Retiring", "retire", "rules"]

_log = logging.getLogger(__name__)

_DAY = 24 * 3600.0


class Retiring(Repository, SupportsRemoval, SupportsCollection, Protocol):
    """A repository that can remove versions, and then the blobs that no record names."""


def rules(keep_last: int, keep_best: int, keep_metric: str) -> Rules | None:
    """Return the rules for the versions kept of each model; None if all are kept.

    Raises:
        ConfigError: A number is below 0.
    """
    for option, number in (("keep_last", keep_last), ("keep_best", keep_best)):
        if number < 0:
            raise ConfigError(
                f"repository.{option} must be at least 0, got {number}",
                exists="0 for both keeps every version",
            )
    if not keep_last + keep_best:
        return None
    return Rules(keep_last, keep_best, keep_metric)


def retire(repository: Retiring, name: str, kept: Rules) -> None:
    """Remove the versions of a model that the rules do not keep; errors are only logged.

    Tagged versions, and those of unfinished runs, are always kept.

    Args:
        repository: Repository of the model.
        name: Name of the model.
        kept: The rules.
    """
    try:
        infos = repository.models(name)
        needed = unfinished(infos, repository.result)
        gone = doomed(infos, kept, needed).get(name, [])
        removed = repository.remove(name, gone) if gone else []
        if removed:
            _log.info("removed versions %s of model '%s'", [*removed], name)
            repository.collect(_DAY)
    except AerosError as error:
        _log.warning("no version of model '%s' was removed: %s", name, error.asked)

"""Old versions go by rules when a run has ended well: the options ``repository.keep_…``."""

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
    """A repository that can remove versions, and then what they alone named."""


def rules(keep_last: int, keep_best: int, keep_metric: str) -> Rules | None:
    """Return what is kept of every model; None if all is.

    Raises:
        ConfigError: A number is below 0.
    """
    if keep_last < 0 or keep_best < 0:
        raise ConfigError(
            f"repository.keep_last={keep_last} repository.keep_best={keep_best} is not possible",
            exists="numbers from 0; 0 and 0 keep every version",
        )
    if not keep_last + keep_best:
        return None
    return Rules(keep_last, keep_best, keep_metric)


def retire(repository: Retiring, name: str, kept: Rules) -> None:
    """Remove the versions of a model that the rules do not keep; what goes wrong is logged.

    What a tag points to stays, and what a run may need that has not finished.
    """
    try:
        infos = repository.models(name)
        needed = unfinished(infos, repository.result)
        gone = doomed(infos, kept, needed).get(name, [])
        removed = repository.remove(name, gone) if gone else []
        if removed:
            _log.info("versions %s of model '%s' are gone", [*removed], name)
            repository.collect(_DAY)
    except AerosError as error:
        _log.warning("no version of model '%s' was removed: %s", name, error.asked)

"""An executor's search for its controller: what is said meanwhile, and what ends it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from aeros_core.errors import ConfigError, TaskError
from aeros_core.tasks.waiting import Reminder
from aeros_flower.http.status_codes import Lost, Unwelcome

__all__ = ["Search", "in_words"]

_FIRST, _LONGEST = 0.15, 2.0
"""Seconds between two attempts to reach a controller: the first, and at most."""


class Search:
    """Goes on for as long as it is not in vain.

    What answers at the address once a controller was there may be a proxy, a machine that was
    given its number, or a controller half started: one that comes is waited for. Before that,
    what is not to be trusted or speaks otherwise ends the search. A key that the controller's
    gate says it does not admit ends it always.

    Args:
        name: Of the executor.
        tell: Hears why it waits: at once where it is another reason, and each minute.
        wait: Seconds that a search may take.
    """

    def __init__(self, name: str, tell: Callable[[str], None], wait: float) -> None:
        self._name, self._tell, self._wait = name, tell, wait
        self._minute = Reminder(tell)
        self._met = False
        self.restart()

    def restart(self, *, said: bool = False) -> None:
        """Begin to search anew.

        Args:
            said: Whether it was said that the controller has come to its end: then each minute
                is enough.
        """
        self._since, self._pause = time.monotonic(), _FIRST
        self._known, self._quiet = "", said
        self._minute.restart()

    def found(self) -> None:
        """Note that a controller was there."""
        self._met = True

    def failed(self, error: Lost | ConfigError) -> float:
        """Note why there is no connection; return the seconds until the next attempt.

        Raises:
            ConfigError: What answers at first is not to be trusted, or speaks otherwise.
            TaskError: The node's key is not admitted, or nobody came in time.
        """
        if isinstance(error, ConfigError) and not self._met:
            raise error
        if isinstance(error, Unwelcome) and (error.key or not self._met):
            raise TaskError(
                f"the controller does not admit {self._name} ({error})",
                hint="--key FILE here; beside the controller: aeros certs admit NAME FILE.pub",
            ) from error
        why = in_words(error)
        if time.monotonic() - self._since > self._wait:
            raise self._alone(why) from error
        self._say(why)
        self._pause = min(self._pause * 1.5, _LONGEST)
        return self._pause * random.uniform(0.7, 1.0)  # noqa: S311 - it only has to differ

    def _say(self, why: str) -> None:
        text = f"waits for the controller ({why})"
        if why != self._known and not self._quiet:
            self._tell(text)
            self._minute.restart()
        self._known = why
        self._minute.say(text)

    def _alone(self, why: str) -> TaskError:
        return TaskError(
            f"executor {self._name} found no controller for {self._wait:g} s ({why})",
            hint="aeros run deployment=flower there, then this command again; --wait SECONDS"
            " waits longer",
        )


def in_words(error: Lost | ConfigError) -> str:
    """Return why there is no connection, in one line."""
    return error.asked if isinstance(error, ConfigError) else str(error)

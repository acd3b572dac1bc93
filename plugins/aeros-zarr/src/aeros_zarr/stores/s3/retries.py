"""Repeat requests that the library does not: interrupted responses, failed conditional writes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from obstore.exceptions import GenericError

__all__ = ["Retries"]

T = TypeVar("T")

_PAUSE = 0.1
_LONGEST = 5.0


class Retries:
    """Repetition of requests, with growing pauses.

    Args:
        retries: Maximum number of repetitions.
    """

    def __init__(self, retries: int) -> None:
        self._retries = retries

    def __call__(self, call: Callable[[], T]) -> T:
        """Send a request and return its result.

        Raises:
            GenericError: All attempts failed.
        """
        for attempt in range(self._retries):
            try:
                return call()
            except GenericError as error:
                if not _is_worth_repeating(str(error)):
                    raise
            time.sleep(min(_PAUSE * 2**attempt, _LONGEST))
        return call()


def _is_worth_repeating(text: str) -> bool:
    return "body error" in text or ("HTTP error" in text and " retries, " not in text)

"""A model of a server by its name: which of its versions answer."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from aeros_serving.lane import Lane

__all__ = ["RETRY", "Slot"]

RETRY = 60.0
"""Seconds until a version that could not be taken up is tried once more: it may be healed."""


@dataclass(slots=True, eq=False)
class Slot:
    """One model by name: the version that answers, and perhaps one that is tried.

    Args:
        name: Name of the model.
        ref: The version or tag that is followed.
        live: What answers.
        canary: What answers a share of the requests.
        share: That share.
        failed: Versions that could not be taken up, and why.
        again: When each of them is tried once more, monotonic.
    """

    name: str
    ref: str
    live: Lane
    canary: Lane | None = None
    share: float = 0.0
    failed: dict[int, str] = field(default_factory=dict)
    again: dict[int, float] = field(default_factory=dict)
    turn: float = 0.0

    def tries(self, version: int) -> bool:
        """Tell whether a version may be taken up: one that failed only after a while."""
        return time.monotonic() >= self.again.get(version, 0.0)

    def fails(self, version: int, why: str) -> None:
        """Keep why a version could not be taken up."""
        self.failed[version] = why
        self.again[version] = time.monotonic() + RETRY

    @property
    def lanes(self) -> list[Lane]:
        """What is loaded, the version that answers first."""
        return [self.live] if self.canary is None else [self.live, self.canary]

    def pick(self) -> Lane:
        """Return what answers the next request: every so many goes to the canary."""
        if self.canary is not None:
            self.turn += self.share
            if self.turn >= 1.0:
                self.turn -= 1.0
                return self.canary
        return self.live

"""A model of a server by its name: the versions that predict."""

from __future__ import annotations

from dataclasses import dataclass

from aeros_serving.models.queue import RequestQueue

__all__ = ["Deployment", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """The versions of one model that a process is to serve.

    Args:
        name: Name of the model.
        live: Version that predicts; 0: none, the model is unloaded.
        canary: Version that predicts a share of the requests; 0: none.
        share: That share, from 0 to 1.
    """

    name: str
    live: int
    canary: int = 0
    share: float = 0.0

    @property
    def versions(self) -> set[int]:
        """The versions that have to be loaded."""
        return {self.live, self.canary} - {0}


@dataclass(slots=True, eq=False)
class Deployment:
    """One model by name: the version that predicts, and perhaps a canary.

    Args:
        name: Name of the model.
        live: Queue of the version that predicts.
        canary: Queue of the version that predicts a share of the requests.
        share: That share.
    """

    name: str
    live: RequestQueue
    canary: RequestQueue | None = None
    share: float = 0.0
    turn: float = 0.0

    @property
    def queues(self) -> list[RequestQueue]:
        """The versions that are loaded, the live one first."""
        return [self.live] if self.canary is None else [self.live, self.canary]

    def pick(self) -> RequestQueue:
        """Return the queue of the next request: one in ``1 / share`` goes to the canary."""
        if self.canary is not None:
            self.turn += self.share
            if self.turn >= 1.0:
                self.turn -= 1.0
                return self.canary
        return self.live

"""How much a controller has on its way at a time."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Limits"]


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is on its way at a time.

    Args:
        bundle: Bytes of the replies that one message may ask for: several clients of one
            executor share a message where their models are small.
        window: Bytes of replies that may be outstanding: what the SuperLink may come to hold.
        attempts: Times that an instruction is sent where executors are lost.
        patience: Seconds to wait for an executor when none is there.
        homecoming: Seconds that a client which keeps something with an executor waits for
            that one before another takes it over, without what it kept.
    """

    bundle: int = 2**25
    window: int = 2**30
    attempts: int = 3
    patience: float = 60.0
    homecoming: float = 30.0

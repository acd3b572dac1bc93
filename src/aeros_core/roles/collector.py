"""Combine updates into the next global parameters; what only some collectors can do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, runtime_checkable

from aeros_core.messages import Broadcast, Update
from aeros_core.parameters import Parameters
from aeros_core.roles.codec import Codec

__all__ = [
    "Collector",
    "SupportsAveraging",
    "SupportsBroadcast",
    "SupportsBuffer",
    "SupportsCodec",
    "SupportsPerNodeBroadcast",
    "SupportsStaleness",
    "SupportsWholeParameters",
]


@runtime_checkable
class Collector(Protocol):
    """Combines updates, as they arrive, into the next global parameters."""

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return the next global parameters.

        Args:
            parameters: The global parameters the round started from; never changed.
            updates: Accepted updates, all of the layout of ``parameters``, finite and
                with a positive number of examples. Consumed once, in order: the
                iterable waits for nodes, so a linear rule should not keep what it
                has added. Without any update, ``parameters`` come back unchanged. An
                error that the iterable raises passes through, and leaves the collector
                as it was before the round, which may be run again.
        """


@runtime_checkable
class SupportsBroadcast(Protocol):
    """A collector that announces scalars or vectors to every trainer."""

    def broadcast(self, round: int) -> Broadcast:
        """Return what the instructions of this round carry."""


@runtime_checkable
class SupportsPerNodeBroadcast(Protocol):
    """A collector that tells each trainer something of its own."""

    def broadcast_to(self, round: int, node: str) -> Broadcast:
        """Return what one node is told in this round, beside what all are told."""


@runtime_checkable
class SupportsAveraging(Protocol):
    """A collector whose parameters to use are not those that training goes on from."""

    def averaged(self, parameters: Parameters) -> Parameters:
        """Return what is measured and published where training goes on from ``parameters``."""


@runtime_checkable
class SupportsBuffer(Protocol):
    """A collector that waits for no round: nodes are kept at work, and it takes what comes.

    Its updates are differences, and say in ``scalars["staleness"]`` how many rounds ended
    since their node was given the parameters it started from. `SupportsStaleness` has older
    ones refused, `SupportsWholeParameters` asks for parameters in place of differences.
    """

    @property
    def buffer(self) -> int:
        """Number of updates that make a round."""


@runtime_checkable
class SupportsStaleness(Protocol):
    """A collector with a buffer that takes no update older than a limit."""

    @property
    def max_staleness(self) -> int | None:
        """Rounds behind which an update is refused; None where there is no limit."""


@runtime_checkable
class SupportsWholeParameters(Protocol):
    """A collector with a buffer that may ask nodes for parameters, which no codec compresses."""

    @property
    def whole(self) -> bool:
        """Whether nodes send parameters where others send differences."""


@runtime_checkable
class SupportsCodec(Protocol):
    """A collector whose nodes send their changes compressed.

    `aeros_core.config.build` sets the attribute on the rule that ``collector/codec`` goes
    with; a rule need not know of it. Encoded updates are always differences.
    """

    codec: Codec

"""Compress what nodes send."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np

from aeros_core.encoding import Decoder, Encoded
from aeros_core.parameters import Parameters

__all__ = ["Codec"]


@runtime_checkable
class Codec(Decoder, Protocol):
    """Compresses what nodes send; the same object without a state serves every node."""

    def encode(
        self, change: Parameters, residual: Parameters | None, rng: np.random.Generator
    ) -> tuple[Encoded, Parameters | None]:
        """Return a change in compressed form, and what was lost, to be sent the next time.

        Args:
            change: What a node's training changed; never changed itself.
            residual: What the last call on this node returned; None at first. A codec
                with error feedback adds it to the change.
            rng: The node's stream of the round, for what is drawn.

        Returns:
            What travels; and the residual, None where the codec keeps none.
        """

"""What a client is held to, whichever protocol it speaks."""

from __future__ import annotations

from dataclasses import dataclass, field

from aeros_serving.protocol.buffer_budget import BufferBudget

__all__ = ["FRAMING", "HEAD", "LINGER", "Limits"]

HEAD = 64 * 1024
"""Bytes of a request's headers."""

FRAMING = 8
"""Bytes that each byte of a body may take on the wire: chunks of one byte take six."""

LINGER = 5.0
"""Seconds in which a client that was refused may still send, so that it can read why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a connection is held to; see `config.Serving`."""

    max_body: int
    read_timeout: float
    idle_timeout: float
    max_connections: int = 1024
    room: BufferBudget = field(default_factory=lambda: BufferBudget(4 * 64 * 2**20))

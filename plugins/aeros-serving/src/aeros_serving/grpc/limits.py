"""Bounds of what clients of the gRPC protocol may send and hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from aeros_serving.protocol.buffer_budget import BufferBudget

__all__ = ["GrpcLimits"]

_METADATA = 16 * 2**10
"""Bytes of a call's headers."""

_STREAMS = 100
"""Calls of a connection at the same time."""


@dataclass(frozen=True, slots=True)
class GrpcLimits:
    """Bounds of what clients may send and hold.

    Args:
        max_body: Bytes of a message, compressed or not.
        max_connections: Connections; and calls whose message has not arrived, at the same time.
        read_timeout: Seconds in which a connection has to be made, TLS included, and in which
            the message of a call has to arrive.
        idle_timeout: Seconds after which a connection without calls is closed, and one whose
            client takes no answer.
        budget: Bound of the bytes of messages that have not arrived whole, of all connections.
    """

    max_body: int
    max_connections: int
    read_timeout: float
    idle_timeout: float
    budget: BufferBudget = field(default_factory=lambda: BufferBudget(4 * 64 * 2**20))

    def options(self) -> list[tuple[str, int]]:
        """Return these bounds as channel arguments of gRPC."""
        return [
            ("grpc.max_receive_message_length", self.max_body),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_concurrent_streams", _STREAMS),
            ("grpc.max_metadata_size", _METADATA),
            ("grpc.absolute_max_metadata_size", _METADATA),
            ("grpc.server_handshake_timeout_ms", _ms(self.read_timeout)),
            ("grpc.max_connection_idle_ms", _ms(self.idle_timeout)),
        ]


def _ms(seconds: float) -> int:
    return max(1, min(int(seconds * 1000), 2**31 - 1))

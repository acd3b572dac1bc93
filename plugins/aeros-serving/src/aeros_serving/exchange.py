"""A request of HTTP/1.1, and the way to answer it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import orjson

from aeros_serving.tensors import Buffer

__all__ = ["Exchange", "Way", "error"]


class Way(Protocol):
    """Brings answers back to a client."""

    def send(
        self,
        exchange: Exchange,
        status: int,
        body: Sequence[Buffer],
        headers: Mapping[str, str | int],
    ) -> None:
        """Send an answer."""


@dataclass(slots=True, eq=False)
class Exchange:
    """A request, and the way to answer it.

    Args:
        connection: Where it came from.
        method: GET, POST and so on.
        target: Path and query, as sent.
        headers: By lower-case name.
        body: The body, whole.
        gone: Called if the client leaves before the answer.
    """

    connection: Way
    method: str = ""
    target: bytes = b""
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: Buffer = b""
    keep: bool = True
    gone: Callable[[], None] | None = None
    pieces: list[bytes] = field(default_factory=list)

    def reply(
        self, status: int, body: Sequence[Buffer], headers: Mapping[str, str | int] | None = None
    ) -> None:
        """Send the answer; the body's parts one behind the other."""
        self.connection.send(self, status, body, headers or {})


def error(text: str) -> list[Buffer]:
    """Return the body of the protocol's error."""
    return [orjson.dumps({"error": text})]

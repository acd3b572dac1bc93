"""What all connections of a server share."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Protocol

from uvicorn.config import Config
from uvicorn.server import ServerState

from aeros_serving.rest.connection.read_queue import ReadQueue
from aeros_serving.rest.http_message import HttpRequest, HttpResponse
from aeros_serving.rest.limits import Limits

__all__ = ["HttpApi", "Shared", "Waiting"]


class HttpApi(Protocol):
    """Answers requests."""

    def refuse(self, request: HttpRequest) -> HttpResponse | None:
        """Return why a request is refused before its body is read; None: it is not."""

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Answer a request that came whole; cancelled where its client has gone."""


class Waiting(Hashable, Protocol):
    """A connection that is not being answered."""

    def give_way(self) -> None:
        """Close it for another one."""


@dataclass(slots=True, eq=False)
class Shared:
    """What all connections of a server share.

    Args:
        api: Answers requests.
        limits: What clients are held to.
        config: Of uvicorn.
        state: Of uvicorn: the connections that are open.
        loop: The event loop.
        reading: Where connections with much to parse take turns.
        waiting: Connections that are not being answered, the longest waiting first.
        closing: Whether the server is about to end.
    """

    api: HttpApi
    limits: Limits
    config: Config
    state: ServerState
    loop: asyncio.AbstractEventLoop
    reading: ReadQueue
    waiting: dict[Waiting, None] = field(default_factory=dict)
    closing: bool = False

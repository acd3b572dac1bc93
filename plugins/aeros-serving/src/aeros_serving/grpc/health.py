"""``grpc.health.v1``: the server, the service, and each model by its name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from grpc.aio import ServicerContext
from grpc_health.v1 import health_pb2

from aeros_serving.grpc.handlers import Method
from aeros_serving.grpc.messages import SERVICE
from aeros_serving.models.repository import ModelRepository
from aeros_serving.protocol.errors import Malformed, Unknown

__all__ = ["HEALTH", "health_methods"]

HEALTH = "grpc.health.v1.Health"

_EVERY = 0.2
"""Seconds between two looks of a watch."""


class _Health:
    def __init__(self, models: ModelRepository, ready: Callable[[], Awaitable[bool]]) -> None:
        self._models, self._ready = models, ready

    async def _status(self, name: str) -> Any:
        kinds = health_pb2.HealthCheckResponse
        if name not in ("", SERVICE) and name not in [each.name for each in self._models]:
            return kinds.SERVICE_UNKNOWN
        return kinds.SERVING if await self._ready() else kinds.NOT_SERVING

    async def check(self, request: Any, _context: ServicerContext) -> Any:
        """Return whether a service takes requests.

        Raises:
            Unknown: There is no such service or model.
        """
        status = await self._status(request.service)
        if status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            raise Unknown(f"no service '{request.service}'")
        return health_pb2.HealthCheckResponse(status=status)

    async def watch(
        self, requests: AsyncIterator[Any], _context: ServicerContext
    ) -> AsyncIterator[Any]:
        """Yield whether a service takes requests, and again when that changes.

        A watch ends with the server: it holds up no shutdown.
        """
        sent, request = None, await anext(requests, None)
        if request is None:
            raise Malformed("no message says what to watch")
        while True:
            ending = self._models.closing
            if (status := await self._status(request.service)) != sent:
                sent = status
                yield health_pb2.HealthCheckResponse(status=status)
            if ending:
                return
            await asyncio.sleep(_EVERY)


def health_methods(
    models: ModelRepository, ready: Callable[[], Awaitable[bool]]
) -> dict[str, Method]:
    """Return the methods of ``grpc.health.v1``, by path.

    Args:
        models: The models of this process.
        ready: Returns whether all processes of the server take requests.
    """
    health, read = _Health(models, ready), health_pb2.HealthCheckRequest.FromString
    return {
        f"/{HEALTH}/Check": Method(read, unary=health.check, public=True),
        f"/{HEALTH}/Watch": Method(read, stream=health.watch, public=True),
    }

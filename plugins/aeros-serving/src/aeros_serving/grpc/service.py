"""The gRPC protocol: ``inference.GRPCInferenceService``, with health and reflection."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from grpc.aio import ServicerContext

from aeros_core.data import Batch
from aeros_core.errors import AerosError
from aeros_serving import metadata
from aeros_serving.control.admin import Control
from aeros_serving.grpc import codec
from aeros_serving.grpc.handlers import Method
from aeros_serving.grpc.health import health_methods
from aeros_serving.grpc.messages import METHODS, SERVICE, message
from aeros_serving.grpc.reflection import reflection_methods
from aeros_serving.models.repository import ModelRepository
from aeros_serving.models.version import LoadedVersion
from aeros_serving.prediction import checked, predicted
from aeros_serving.protocol.errors import Refused, Unknown, refusal
from aeros_serving.requests import (
    Request,
    answer_cost,
    outputs_of,
    run_by_cost,
)

__all__ = ["GrpcService", "methods"]

_PUBLIC = ("ServerLive", "ServerReady")
"""The protocol's own methods of health, which ask for no token."""


class GrpcService:
    """Answers calls; each method is one of the protocol's.

    Args:
        models: The models of this process.
        control: Loads and unloads them, and reports about all processes of the server.
    """

    def __init__(self, models: ModelRepository, control: Control) -> None:
        self._models = models
        self._control = control

    async def ready(self) -> bool:
        """Return whether there is a model and all processes of the server take requests."""
        return any(self._models) and self._models.ready and await self._control.ready()

    async def ServerLive(self, _request: Any, _context: ServicerContext) -> Any:  # noqa: N802
        """Tell that the server runs."""
        return message("ServerLiveResponse")(live=True)

    async def ServerReady(self, _request: Any, _context: ServicerContext) -> Any:  # noqa: N802
        """Tell whether requests are taken."""
        return message("ServerReadyResponse")(ready=await self.ready())

    async def ModelReady(self, request: Any, _context: ServicerContext) -> Any:  # noqa: N802
        """Tell whether a model takes requests."""
        try:
            self._models.loaded(request.name, request.version)
            ready = await self.ready()
        except Unknown:
            ready = False
        return message("ModelReadyResponse")(ready=ready)

    async def ServerMetadata(self, _request: Any, _context: ServicerContext) -> Any:  # noqa: N802
        """Tell what the server is."""
        return message("ServerMetadataResponse")(**metadata.server())

    async def ModelMetadata(self, request: Any, _context: ServicerContext) -> Any:  # noqa: N802
        """Tell what a model takes and gives."""
        deployment, queues = self._models.loaded(request.name, request.version)
        return message("ModelMetadataResponse")(**metadata.metadata(deployment, queues[0]))

    async def ModelConfig(self, request: Any, _context: ServicerContext) -> Any:  # noqa: N802
        """Tell how a model is served."""
        _, queues = self._models.loaded(request.name, request.version)
        return message("ModelConfigResponse")(config=metadata.config(queues[0]))

    async def ModelStatistics(self, request: Any, _context: ServicerContext) -> Any:  # noqa: N802
        """Tell what models have done."""
        if request.name:
            self._models.loaded(request.name, request.version)
        reports = await self._control.versions(request.name, request.version)
        told = [metadata.statistics(report) for report in reports]
        return message("ModelStatisticsResponse")(model_stats=told)

    async def RepositoryIndex(self, request: Any, _context: ServicerContext) -> Any:  # noqa: N802
        """Tell which models there are."""
        entries = await self._control.index(request.ready)
        return message("RepositoryIndexResponse")(models=[asdict(entry) for entry in entries])

    async def RepositoryModelLoad(self, request: Any, _context: ServicerContext) -> Any:  # noqa: N802
        """Load a model, or another version of it."""
        await self._control.load(request.model_name, _parameters(request))
        return message("RepositoryModelLoadResponse")()

    async def RepositoryModelUnload(self, request: Any, _context: ServicerContext) -> Any:  # noqa: N802
        """Take a model down."""
        await self._control.unload(request.model_name, _parameters(request))
        return message("RepositoryModelUnloadResponse")()

    async def ModelInfer(self, request: Any, context: ServicerContext) -> Any:  # noqa: N802
        """Return the predictions of rows, once their batch is computed.

        Raises:
            Refused: The request or the model cannot be answered.
        """
        queue = self._models.queue(request.model_name, request.model_version)
        left, arrived = context.time_remaining(), time.monotonic()
        asked, batch = await checked(
            queue.served, codec.cost(request), lambda: codec.request_of(request)
        )
        patience = asked.timeout if left is None else min(asked.timeout, left)
        answer = await predicted(queue, asked, batch, arrived + patience)
        return await self._encoded(asked, queue.served, answer)

    async def _encoded(self, asked: Request, served: LoadedVersion, answer: Batch) -> Any:
        return await run_by_cost(
            answer_cost(asked, answer),
            lambda: codec.encode(asked, served, outputs_of(asked, served, answer)),
        )

    async def ModelStreamInfer(  # noqa: N802
        self, requests: AsyncIterator[Any], context: ServicerContext
    ) -> AsyncIterator[Any]:
        """Answer rows as they come; what is wrong with a request ends no stream."""
        made = message("ModelStreamInferResponse")
        async for request in requests:
            try:
                yield made(infer_response=await self.ModelInfer(request, context))
            except (Refused, AerosError, MemoryError) as refused:
                empty = message("ModelInferResponse")(id=request.id)
                yield made(error_message=str(refusal(refused)), infer_response=empty)


def _parameters(request: Any) -> dict[str, Any]:
    return {name: codec.value(each) for name, each in request.parameters.items()}


def methods(models: ModelRepository, control: Control) -> dict[str, Method]:
    """Return what can be called, by path: the protocol, ``grpc.health.v1`` and reflection.

    Args:
        models: The models of this process.
        control: Loads and unloads them, and reports about all processes of the server.
    """
    service, made = GrpcService(models, control), {}
    for name, descriptor in METHODS.items():
        read, call = message(descriptor.input_type.name).FromString, getattr(service, name)
        if descriptor.client_streaming:
            method = Method(read, stream=call)
        else:
            method = Method(read, unary=call, public=name in _PUBLIC)
        made[f"/{SERVICE}/{name}"] = method
    return made | health_methods(models, service.ready) | reflection_methods()

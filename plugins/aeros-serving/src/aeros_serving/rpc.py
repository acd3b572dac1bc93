"""The gRPC protocol: ``inference.GRPCInferenceService``, with health and reflection."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import asdict
from typing import Any

from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from aeros_core.data import Batch
from aeros_core.errors import AerosError
from aeros_serving import account, grpc_codec
from aeros_serving.calls import Call, Method
from aeros_serving.control import Control
from aeros_serving.failures import Malformed, Refused, Unknown, refusal
from aeros_serving.inference import Request, outputs_of, rows_of
from aeros_serving.job import Job
from aeros_serving.lane import Lane
from aeros_serving.served import Served
from aeros_serving.shelf import Shelf
from aeros_serving.wire import METHODS, POOL, SERVICE, message

__all__ = ["Rpc", "methods"]

HEALTH = "grpc.health.v1.Health"

_HEALTH = ("ServerLive", "ServerReady")
"""The protocol's own methods that tell health, which is told without a token."""


class Rpc:
    """Answers calls; each method is one of the protocol's.

    Args:
        shelf: The models.
        control: Whether clients may load and unload models.
    """

    def __init__(self, shelf: Shelf, control: bool) -> None:
        self._shelf = shelf
        self._control = Control(shelf, control)

    async def ServerLive(self, _request: Any, _call: Call) -> Any:  # noqa: N802
        """Tell that the server runs."""
        return message("ServerLiveResponse")(live=True)

    async def ServerReady(self, _request: Any, _call: Call) -> Any:  # noqa: N802
        """Tell whether requests are taken."""
        return message("ServerReadyResponse")(ready=self._shelf.ready)

    async def ModelReady(self, request: Any, _call: Call) -> Any:  # noqa: N802
        """Tell whether a model takes requests."""
        try:
            self._shelf.loaded(request.name, request.version)
            ready = self._shelf.ready
        except Unknown:
            ready = False
        return message("ModelReadyResponse")(ready=ready)

    async def ServerMetadata(self, _request: Any, _call: Call) -> Any:  # noqa: N802
        """Tell what the server is."""
        return message("ServerMetadataResponse")(**account.server())

    async def ModelMetadata(self, request: Any, _call: Call) -> Any:  # noqa: N802
        """Tell what a model takes and gives."""
        slot, lanes = self._shelf.loaded(request.name, request.version)
        return message("ModelMetadataResponse")(**account.metadata(slot, lanes[0]))

    async def ModelConfig(self, request: Any, _call: Call) -> Any:  # noqa: N802
        """Tell how a model is served."""
        _, lanes = self._shelf.loaded(request.name, request.version)
        return message("ModelConfigResponse")(config=account.config(lanes[0]))

    async def ModelStatistics(self, request: Any, _call: Call) -> Any:  # noqa: N802
        """Tell what models have done."""
        if request.name:
            _, lanes = self._shelf.loaded(request.name, request.version)
        else:
            lanes = [lane for slot in self._shelf for lane in slot.lanes]
        told = [account.statistics(lane) for lane in lanes]
        return message("ModelStatisticsResponse")(model_stats=told)

    async def RepositoryIndex(self, request: Any, _call: Call) -> Any:  # noqa: N802
        """Tell which models there are."""
        entries = await self._shelf.index(request.ready)
        return message("RepositoryIndexResponse")(models=[asdict(entry) for entry in entries])

    async def RepositoryModelLoad(self, request: Any, _call: Call) -> Any:  # noqa: N802
        """Load a model, or another version of it."""
        await self._control.load(request.model_name, _parameters(request))
        return message("RepositoryModelLoadResponse")()

    async def RepositoryModelUnload(self, request: Any, _call: Call) -> Any:  # noqa: N802
        """Take a model down."""
        await self._control.unload(request.model_name, _parameters(request))
        return message("RepositoryModelUnloadResponse")()

    def infer(self, request: Any, call: Call) -> None:
        """Answer rows, now or when their batch is answered."""
        asked, served, lane, batch = self._asked(request)

        def done(answer: Batch | Refused) -> None:
            if isinstance(answer, Refused):
                call.fail(answer)
                return
            try:
                call.reply(grpc_codec.encode(asked, served, outputs_of(asked, served, answer)))
            except Exception as failure:
                call.fail(failure)

        def gone() -> None:
            job.cancelled = True

        left = min(asked.timeout, call.time_remaining())
        job = Job(batch, rows_of(batch), done, time.monotonic() + left, how=asked.how)
        call.gone = gone
        lane.submit(job)

    def _asked(self, request: Any) -> tuple[Request, Served, Lane, Batch]:
        """Return a request, decoded and checked, and who is to answer it."""
        lane = self._shelf.lane(request.model_name, request.model_version)
        served = lane.served
        try:
            asked = grpc_codec.request_of(request)
            batch = served.contract.check(asked.tensors, asked.datatypes, asked.bad)
        except Refused as refused:
            served.statistics.failed(type(refused).__name__, 0.0)
            raise
        return asked, served, lane, batch

    async def _infer(self, request: Any, call: Call) -> Any:
        """Return the answer to rows that came in a stream."""
        asked, served, lane, batch = self._asked(request)
        waiting: asyncio.Future[Batch | Refused] = asyncio.get_running_loop().create_future()
        deadline = time.monotonic() + min(asked.timeout, call.time_remaining())
        job = Job(batch, rows_of(batch), waiting.set_result, deadline, how=asked.how)
        lane.submit(job)
        try:
            answer = await waiting
        except asyncio.CancelledError:
            job.cancelled = True
            raise
        if isinstance(answer, Refused):
            raise answer
        return grpc_codec.encode(asked, served, outputs_of(asked, served, answer))

    async def ModelStreamInfer(  # noqa: N802
        self, requests: AsyncIterator[Any], call: Call
    ) -> AsyncIterator[Any]:
        """Answer rows as they come; what is wrong with a request ends no stream."""
        made = message("ModelStreamInferResponse")
        async for request in requests:
            try:
                yield made(infer_response=await self._infer(request, call))
            except (Refused, AerosError, MemoryError) as refused:
                empty = message("ModelInferResponse")(id=request.id)
                yield made(error_message=str(refusal(refused)), infer_response=empty)


def _parameters(request: Any) -> dict[str, Any]:
    return {name: grpc_codec.value(each) for name, each in request.parameters.items()}


class _Health:
    """``grpc.health.v1``: the server, the service, and each model by its name."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    def _status(self, name: str) -> Any:
        kinds = health_pb2.HealthCheckResponse
        known = name in ("", SERVICE) or any(slot.name == name for slot in self._shelf)
        if not known:
            return kinds.SERVICE_UNKNOWN
        return kinds.SERVING if self._shelf.ready else kinds.NOT_SERVING

    async def Check(self, request: Any, _call: Call) -> Any:  # noqa: N802
        """Tell whether a service takes requests."""
        status = self._status(request.service)
        if status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            raise Unknown(f"no service '{request.service}'")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, requests: AsyncIterator[Any], _call: Call) -> AsyncIterator[Any]:  # noqa: N802
        """Tell whether a service takes requests, and again when that changes, to the end."""
        told, request = None, await anext(requests, None)
        if request is None:
            raise Malformed("no message says what to watch")
        while True:
            ending = not self._shelf.ready
            if (status := self._status(request.service)) != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            if ending:  # whoever watches is not waited for
                return
            await asyncio.sleep(0.2)


def methods(shelf: Shelf, control: bool) -> dict[str, Method]:
    """Return what can be called, by path: the protocol, ``grpc.health.v1`` and reflection.

    Args:
        shelf: The models.
        control: Whether clients may load and unload models.
    """
    rpc, health, made = Rpc(shelf, control), _Health(shelf), {}
    for name, descriptor in METHODS.items():
        read = message(descriptor.input_type.name).FromString
        if name == "ModelInfer":
            method = Method(read, now=rpc.infer)
        elif descriptor.client_streaming:
            method = Method(read, stream=getattr(rpc, name))
        else:
            method = Method(read, soon=getattr(rpc, name), open=name in _HEALTH)
        made[f"/{SERVICE}/{name}"] = method
    read = health_pb2.HealthCheckRequest.FromString
    made[f"/{HEALTH}/Check"] = Method(read, soon=health.Check, open=True)
    made[f"/{HEALTH}/Watch"] = Method(read, stream=health.Watch, open=True)
    return made | _reflection()


def _reflection() -> dict[str, Method]:
    """Return how clients find out which services and messages there are."""
    from grpc_reflection.v1alpha import reflection

    for file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        POOL.AddSerializedFile(file.serialized_pb)
    names = (SERVICE, HEALTH, reflection.SERVICE_NAME)
    servicer = reflection.ReflectionServicer(names, POOL)

    async def tell(requests: AsyncIterator[Any], _call: Call) -> AsyncIterator[Any]:
        async for request in requests:
            for answer in servicer.ServerReflectionInfo(iter([request]), None):
                yield answer

    read = reflection_pb2.ServerReflectionRequest.FromString
    return {f"/{reflection.SERVICE_NAME}/ServerReflectionInfo": Method(read, stream=tell)}

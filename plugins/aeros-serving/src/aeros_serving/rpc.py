"""The gRPC protocol: ``inference.GRPCInferenceService``, with health and reflection."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2

from aeros_core.data import Batch
from aeros_core.errors import AerosError
from aeros_serving import account, grpc_codec
from aeros_serving.failures import Forbidden, Refused, Unauthorised, Unknown, refusal
from aeros_serving.inference import outputs_of, rows_of
from aeros_serving.job import Job
from aeros_serving.shelf import Shelf
from aeros_serving.wire import METHODS, POOL, SERVICE, message

__all__ = ["Rpc", "server"]

_log = logging.getLogger(__name__)

_OPEN = "/grpc.health."


class Rpc:
    """Answers calls; each method is one of the protocol's.

    Args:
        shelf: The models.
        control: Whether clients may load and unload models.
    """

    def __init__(self, shelf: Shelf, control: bool) -> None:
        self._shelf = shelf
        self._control = control

    async def ServerLive(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Tell that the server runs."""
        return message("ServerLiveResponse")(live=True)

    async def ServerReady(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Tell whether requests are taken."""
        return message("ServerReadyResponse")(ready=self._shelf.ready)

    async def ModelReady(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Tell whether a model takes requests."""
        try:
            self._shelf.loaded(request.name, request.version)
            ready = self._shelf.ready
        except Unknown:
            ready = False
        return message("ModelReadyResponse")(ready=ready)

    async def ServerMetadata(self, _request: Any, _context: Any) -> Any:  # noqa: N802
        """Tell what the server is."""
        return message("ServerMetadataResponse")(**account.server())

    async def ModelMetadata(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Tell what a model takes and gives."""
        slot, lanes = self._shelf.loaded(request.name, request.version)
        return message("ModelMetadataResponse")(**account.metadata(slot, lanes[0]))

    async def ModelConfig(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Tell how a model is served."""
        _, lanes = self._shelf.loaded(request.name, request.version)
        return message("ModelConfigResponse")(config=account.config(lanes[0]))

    async def ModelStatistics(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Tell what models have done."""
        if request.name:
            _, lanes = self._shelf.loaded(request.name, request.version)
        else:
            lanes = [lane for slot in self._shelf for lane in slot.lanes]
        told = [account.statistics(lane) for lane in lanes]
        return message("ModelStatisticsResponse")(model_stats=told)

    async def RepositoryIndex(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Tell which models there are."""
        entries = await self._shelf.index(request.ready)
        return message("RepositoryIndexResponse")(models=[asdict(entry) for entry in entries])

    async def RepositoryModelLoad(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Load a model, or another version of it."""
        self._allowed()
        named = "version" in request.parameters  # to ask a map is to put something in
        ref = grpc_codec.value(request.parameters["version"]) if named else ""
        await self._shelf.load(request.model_name, str(ref))
        return message("RepositoryModelLoadResponse")()

    async def RepositoryModelUnload(self, request: Any, _context: Any) -> Any:  # noqa: N802
        """Take a model down."""
        self._allowed()
        await self._shelf.unload(request.model_name)
        return message("RepositoryModelUnloadResponse")()

    def _allowed(self) -> None:
        if not self._control:
            raise Forbidden("models are not loaded or unloaded by clients here")

    async def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Answer rows."""
        lane = self._shelf.lane(request.model_name, request.model_version)
        served = lane.served
        try:
            asked = grpc_codec.request_of(request)
            batch = served.contract.check(asked.tensors, asked.datatypes)
        except Refused as refused:
            served.statistics.failed(type(refused).__name__, 0.0)
            raise
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Batch | Refused] = loop.create_future()
        left = min(asked.timeout, _left(context))
        deadline = time.monotonic() + left
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
        self, requests: AsyncIterator[Any], context: Any
    ) -> AsyncIterator[Any]:
        """Answer rows as they come; what is wrong with a request ends no stream."""
        made = message("ModelStreamInferResponse")
        async for request in requests:
            try:
                yield made(infer_response=await self.ModelInfer(request, context))
            except (Refused, AerosError, MemoryError) as refused:
                empty = message("ModelInferResponse")(id=request.id)
                yield made(error_message=str(refused), infer_response=empty)


def _left(context: Any) -> float:
    remaining = context.time_remaining()
    return math.inf if remaining is None else float(remaining)


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

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Tell whether a service takes requests."""
        status = self._status(request.service)
        if status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service '{request.service}'")
        return health_pb2.HealthCheckResponse(status=status)

    async def Watch(self, request: Any, _context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Tell whether a service takes requests, and again when that changes."""
        told = None
        while True:
            if (status := self._status(request.service)) != told:
                told = status
                yield health_pb2.HealthCheckResponse(status=status)
            await asyncio.sleep(0.2)


def _guarded(method: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    """Return the method with its failures as the protocol's."""

    async def call(request: Any, context: Any) -> Any:
        try:
            return await method(request, context)
        except Refused as refused:
            await context.abort(grpc.StatusCode[refused.grpc], str(refused))
        except AerosError as error:
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, str(error))
        except MemoryError as error:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(refusal(error)))

    return call


def _handlers(rpc: Rpc) -> dict[str, grpc.RpcMethodHandler]:
    made = {}
    for name, descriptor in METHODS.items():
        coding = {
            "request_deserializer": message(descriptor.input_type.name).FromString,
            "response_serializer": message(descriptor.output_type.name).SerializeToString,
        }
        method = getattr(rpc, name)
        if descriptor.client_streaming:
            made[name] = grpc.stream_stream_rpc_method_handler(method, **coding)
        else:
            made[name] = grpc.unary_unary_rpc_method_handler(_guarded(method), **coding)
    return made


class _Bearer(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls without the token; health is open."""

    def __init__(self, token: str) -> None:
        self._token = f"Bearer {token}".encode()
        self._refusal = grpc.unary_unary_rpc_method_handler(self._refuse)

    async def intercept_service(self, continuation: Any, call: Any) -> Any:
        """Let a call pass, or not."""
        given = dict(call.invocation_metadata).get("authorization", "")
        known = hmac.compare_digest(str(given).encode(), self._token)
        if known or call.method.startswith(_OPEN):
            return await continuation(call)
        return self._refusal

    async def _refuse(self, _request: Any, context: Any) -> None:
        refused = Unauthorised("the call bears no token that is known here")
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, str(refused))


def server(shelf: Shelf, token: str, max_body: int, control: bool) -> grpc.aio.Server:
    """Return a server that has still to be given a port and started."""
    options = [
        ("grpc.max_receive_message_length", max_body),
        ("grpc.max_send_message_length", -1),
        ("grpc.so_reuseport", 0),
    ]
    made = grpc.aio.server(options=options, interceptors=[_Bearer(token)] if token else [])
    handlers = grpc.method_handlers_generic_handler(SERVICE, _handlers(Rpc(shelf, control)))
    made.add_generic_rpc_handlers((handlers,))
    health_pb2_grpc.add_HealthServicer_to_server(_Health(shelf), made)
    services = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name)
    for file in (health_pb2.DESCRIPTOR, reflection_pb2.DESCRIPTOR):
        POOL.AddSerializedFile(file.serialized_pb)
    reflection.enable_server_reflection((*services, reflection.SERVICE_NAME), made, POOL)
    return made

"""Server reflection, versions v1 and v1alpha: which services and messages there are.

grpcio-reflection has v1alpha. Version 1 differs from it by the name of its package alone
(gRPC, doc/server-reflection.md), so its description is made of the other one's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from google.protobuf import descriptor_pb2
from grpc.aio import ServicerContext
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from aeros_serving.grpc.handlers import Method
from aeros_serving.grpc.health import HEALTH
from aeros_serving.grpc.messages import POOL, SERVICE

__all__ = ["REFLECTION", "reflection_methods"]

REFLECTION = ("grpc.reflection.v1.ServerReflection", reflection.SERVICE_NAME)
"""The service's names, the newer first."""


def reflection_methods() -> dict[str, Method]:
    """Return the methods of both versions, by path."""
    for file in (health_pb2.DESCRIPTOR.serialized_pb, reflection_pb2.DESCRIPTOR.serialized_pb):
        POOL.AddSerializedFile(file)
    POOL.AddSerializedFile(_version_1())
    servicer = reflection.ReflectionServicer((SERVICE, HEALTH, *REFLECTION), POOL)

    async def describe(
        requests: AsyncIterator[Any], _context: ServicerContext
    ) -> AsyncIterator[Any]:
        async for request in requests:
            for answer in servicer.ServerReflectionInfo(iter([request]), None):
                yield answer

    method = Method(reflection_pb2.ServerReflectionRequest.FromString, stream=describe)
    return {f"/{name}/ServerReflectionInfo": method for name in REFLECTION}


def _version_1() -> bytes:
    """Return the description of version 1."""
    made = descriptor_pb2.FileDescriptorProto.FromString(reflection_pb2.DESCRIPTOR.serialized_pb)
    made.name = "grpc/reflection/v1/reflection.proto"
    made.package = "grpc.reflection.v1"
    for message in made.message_type:
        for field in message.field:
            if field.type_name:
                field.type_name = _renamed(field.type_name)
    for service in made.service:
        for method in service.method:
            method.input_type = _renamed(method.input_type)
            method.output_type = _renamed(method.output_type)
    described: bytes = made.SerializeToString()
    return described


def _renamed(name: str) -> str:
    return name.replace(".grpc.reflection.v1alpha.", ".grpc.reflection.v1.")

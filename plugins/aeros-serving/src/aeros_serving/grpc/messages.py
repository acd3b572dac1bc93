"""The messages of grpc_service.proto, in a pool of their own.

Clients such as tritonclient bring messages of the same names into protobuf's default pool,
which takes each name once; so a process may hold a client and this server.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

__all__ = ["METHODS", "POOL", "SERVICE", "message"]

SERVICE = "inference.GRPCInferenceService"


def _pool() -> descriptor_pool.DescriptorPool:
    compiled = files(__package__).joinpath("grpc_service.binpb").read_bytes()
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(compiled).file:
        pool.AddSerializedFile(file.SerializeToString())
    return pool


POOL = _pool()

METHODS: dict[str, Any] = dict(POOL.FindServiceByName(SERVICE).methods_by_name)
"""Descriptors of the methods, by name."""


def message(name: str) -> Any:
    """Return the class of a message, for instance ``ModelInferRequest``."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"inference.{name}"))

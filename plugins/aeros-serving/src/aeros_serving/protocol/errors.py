"""What can go wrong with a request, with its status in both protocols."""

from __future__ import annotations

import logging
import re
import reprlib

from aeros_core.errors import (
    AerosError,
    ConfigError,
    DataError,
    PluginError,
    PredictionError,
    RepositoryError,
)

__all__ = [
    "Damaged",
    "Exhausted",
    "Expired",
    "Forbidden",
    "Malformed",
    "NotAllowed",
    "Overloaded",
    "Refused",
    "TooLarge",
    "Unauthorised",
    "Unavailable",
    "Unknown",
    "Unsupported",
    "plain",
    "refusal",
    "short",
    "shown",
]

_FULL = ("allocate memory", "out of memory", "ALLOC_FAILED")
"""What devices without room say, in torch, onnxruntime, cuBLAS and cuDNN."""

_PATH = re.compile(r"(?<![\w.:/])~?(?:/[\w.@%+~=-]+){2,}/?")
"""A path of this machine; the path of a URL is none."""

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")
"""Where an object lies, as Python shows it."""

_ECHOED = 200
"""Signs of what a client sent that an answer repeats."""

_LONGEST = 4000
"""Signs of a message: gRPC clients take 8 KiB of metadata with a status."""

_log = logging.getLogger(__name__)


class Refused(Exception):
    """A request that cannot be answered.

    Args:
        message: For the client; names and values of its request may be in it, so it is cut.

    Attributes:
        http: Status of the REST protocol.
        grpc: Name of the status of the gRPC protocol.
    """

    http = 500
    grpc = "INTERNAL"

    def __init__(self, message: str = "") -> None:
        super().__init__(short(message, _LONGEST))


class Malformed(Refused):
    """The request is not what the protocol or the model asks for."""

    http, grpc = 400, "INVALID_ARGUMENT"


class Unknown(Refused):
    """There is no such model, version or path."""

    http, grpc = 404, "NOT_FOUND"


class TooLarge(Refused):
    """The body is larger than the server takes."""

    http, grpc = 413, "RESOURCE_EXHAUSTED"


class Overloaded(Refused):
    """The queue of the model is full."""

    http, grpc = 429, "RESOURCE_EXHAUSTED"


class Unavailable(Refused):
    """The model is not loaded, what it asks does not answer, or the server is about to end."""

    http, grpc = 503, "UNAVAILABLE"


class Expired(Refused):
    """The request waited longer than it may."""

    http, grpc = 504, "DEADLINE_EXCEEDED"


class Exhausted(Refused):
    """There is no memory left: the model's, or that for requests which are still coming."""

    http, grpc = 503, "RESOURCE_EXHAUSTED"


class NotAllowed(Refused):
    """The path is asked with another method, which is the argument."""

    http, grpc = 405, "UNIMPLEMENTED"


class Unauthorised(Refused):
    """The request bears no token that is known here."""

    http, grpc = 401, "UNAUTHENTICATED"


class Forbidden(Refused):
    """The server was started so that this is not done."""

    http, grpc = 403, "PERMISSION_DENIED"


class Unsupported(Refused):
    """The model, or what is installed here, cannot do what is asked."""

    http, grpc = 501, "UNIMPLEMENTED"


class Damaged(Refused):
    """What the repository holds cannot be read."""

    http, grpc = 500, "DATA_LOSS"


def short(text: str, most: int = _ECHOED) -> str:
    """Return what a client sent, no longer than an answer repeats it."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def shown(value: object) -> str:
    """Return a value of a request as Python writes it, in a few signs however large or deep."""
    return reprlib.repr(value)


def plain(error: BaseException) -> str:
    """Return an error in one line for a client: without paths of this machine, or its commands."""
    asked = error.asked if isinstance(error, AerosError) else str(error)
    if isinstance(error, RepositoryError):
        asked = asked.partition(": ")[0]  # what follows says where, and how
    return _PATH.sub("…", _ADDRESS.sub("", " ".join(asked.split())))


def refusal(error: BaseException) -> Refused:
    """Return what an error of a model means to the one who asked.

    What is wrong with configuration or data is wrong with the request; any other error that is
    raised on purpose says that something the model needs, a server for instance, does not answer.
    What a person at the command line would type next is nothing for a client.
    """
    if isinstance(error, Refused):
        return error
    if isinstance(error, PluginError):
        return Unsupported(plain(error))
    if isinstance(error, ConfigError | DataError):
        exists = f"; exists: {error.exists}" if error.exists else ""
        return Malformed(plain(error) + exists)
    if isinstance(error, RepositoryError):
        _log.warning("the repository failed: %s", error)
        return Damaged(f"{plain(error)}; the server's log says why")
    if isinstance(error, PredictionError):
        return Refused(plain(error))
    if isinstance(error, AerosError):
        return Unavailable(plain(error))
    full = "OutOfMemory" in type(error).__name__ or any(word in str(error) for word in _FULL)
    if isinstance(error, MemoryError) or full:
        return Exhausted(f"out of memory: {plain(error)}".rstrip(": "))
    _log.error("a model failed", exc_info=error)
    return Refused(f"{type(error).__name__}: {plain(error)}".rstrip(": "))

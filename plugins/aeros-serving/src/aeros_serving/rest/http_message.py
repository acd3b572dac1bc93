"""A request and its response, as the REST API sees them, whichever web server brings them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import orjson

from aeros_serving.protocol.tensors import Buffer

__all__ = ["HttpRequest", "HttpResponse", "error_response", "json_response"]

RETRY = ("retry-after", "1")
"""Header of 429 and 503: the client may try again after a second."""


@dataclass(slots=True)
class HttpRequest:
    """A request of HTTP.

    Args:
        method: GET, POST and so on.
        path: Path of the target, percent-encoded, without the query.
        headers: By lower-case name; values of a name that is repeated are joined by commas.
        body: The body, whole; empty until it was read.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    body: Buffer = b""


@dataclass(slots=True)
class HttpResponse:
    """A response of HTTP.

    Args:
        status: Its status code.
        headers: Names in lower case, and values; Content-Length is added by the server.
        body: The body.
    """

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""


def json_response(status: int, data: object) -> HttpResponse:
    """Return a response whose body is JSON."""
    return HttpResponse(status, [("content-type", "application/json")], orjson.dumps(data))


def error_response(status: int, text: str) -> HttpResponse:
    """Return the protocol's error object with a status; 429 and 503 say when to try again."""
    response = json_response(status, {"error": text})
    if status in (429, 503):
        response.headers.append(RETRY)
    return response

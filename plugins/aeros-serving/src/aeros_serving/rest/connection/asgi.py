"""Bring a request from uvicorn to the REST API and the response back, by ASGI."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from aeros_serving.rest.http_message import HttpResponse

__all__ = ["Receive", "Send", "last_response", "read_body", "send_response"]

Receive: TypeAlias = Callable[[], Awaitable[Any]]
Send: TypeAlias = Callable[[Any], Awaitable[None]]


async def read_body(receive: Receive) -> bytes:
    """Return the body of a request, whole."""
    message = await receive()
    body: bytes = message["body"]
    if not message["more_body"]:
        return body
    pieces = [body]
    while message["more_body"]:
        message = await receive()
        pieces.append(message["body"])
    return b"".join(pieces)


async def send_response(send: Send, response: HttpResponse, keep_alive: bool) -> None:
    """Send a response, and tell the client whether the connection stays open."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in response.headers]
    headers.append((b"content-length", b"%d" % len(response.body)))
    if not keep_alive:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


def last_response(response: HttpResponse) -> bytes:
    """Return a response as sent, after which the server closes the connection."""
    fields = [*response.headers, ("content-length", str(len(response.body)))]
    lines = "".join(f"{name}: {value}\r\n" for name, value in [*fields, ("connection", "close")])
    head: bytes = STATUS_LINE[response.status] + lines.encode("latin-1")
    return head + b"\r\n" + response.body

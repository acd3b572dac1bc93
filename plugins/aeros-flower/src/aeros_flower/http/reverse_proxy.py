"""Passes requests on to a SuperLink that listens on this machine alone."""

from __future__ import annotations

from typing import Any

from aeros_flower.http.access_control import Event, Receive, Send

__all__ = ["ReverseProxy"]

_OWN = (b"connection", b"content-length", b"host", b"transfer-encoding", b"keep-alive")
"""Headers that are of one connection."""

_LONG = 120.0


class ReverseProxy:
    """An ASGI application in the SuperLink's place, for behind a `access_control.AccessControl`.

    Args:
        port: Of this machine, where the SuperLink listens; 503 where it does not.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._client: Any = None

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Pass a request on, and its answer back."""
        import httpx

        if self._client is None:
            self._client = httpx.AsyncClient(timeout=_LONG)
        parts, more = [], True
        while more:
            event = await receive()
            if event["type"] == "http.disconnect":
                return
            parts.append(event.get("body", b""))
            more = event.get("more_body", False)
        try:
            answer = await self._client.request(
                scope["method"],
                f"http://127.0.0.1:{self._port}{scope['path']}",
                content=b"".join(parts),
                headers=[(k, v) for k, v in scope["headers"] if k.lower() not in _OWN],
            )
            status, headers, body = answer.status_code, answer.headers.raw, answer.content
        except httpx.HTTPError:
            status, headers, body = 503, [], b""
        kept = [(k.lower(), v) for k, v in headers if k.lower() not in (*_OWN, b"content-encoding")]
        kept.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": kept})
        await send({"type": "http.response.body", "body": body})

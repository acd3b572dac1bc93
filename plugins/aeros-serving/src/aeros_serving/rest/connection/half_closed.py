"""Whether a client that sends no more still reads, or has closed its connection."""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["reads_after_eof", "watch_half_closed"]

FIRST = 0.01
"""Seconds until the first look; each further one waits twice as long, up to a second."""

_INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"


def reads_after_eof(transport: asyncio.Transport) -> bool:
    """Return whether a client may still read once it sends no more: with TLS it may not."""
    return transport.get_extra_info("sslcontext") is None


def watch_half_closed(
    loop: asyncio.AbstractEventLoop,
    transport: asyncio.Transport,
    scope: Mapping[str, Any],
    answering: Callable[[], bool],
) -> None:
    """Close a connection as soon as its client turns out not to read any more.

    A client has to take an interim response that it did not ask for (RFC 9110, 15.2). The
    system of one that has closed answers it with a reset, which is not reported to a protocol
    whose transport has seen the end of input; it is looked for instead.

    Args:
        loop: The event loop.
        transport: The connection, without TLS.
        scope: ASGI's scope of the request; HTTP/1.0 has no interim responses.
        answering: Whether a request is being answered.
    """
    if scope["http_version"] != "1.1":
        return
    transport.write(_INTERIM)

    def look(after: float) -> None:
        if not answering() or transport.is_closing():
            return
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), 0)
        if poll.poll(0):  # an error or a hang-up, which are reported whatever is asked for
            transport.abort()
        else:
            loop.call_later(after, look, min(1.0, 2 * after))

    loop.call_later(FIRST, look, 2 * FIRST)

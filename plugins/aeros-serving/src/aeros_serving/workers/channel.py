"""Calls between the supervisor and one worker: JSON messages over a pair of sockets."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeAlias

from aeros_serving.workers.connection import Connection, OpenFile
from aeros_serving.workers.errors import WorkerGone, error_from_json, error_to_json

__all__ = ["Channel", "Handler"]

Handler: TypeAlias = Callable[..., Awaitable[Any]]
"""A method that the other side may call, with keyword arguments."""


class Channel:
    """One end of the connection of the supervisor and a worker: either may call the other.

    A message is JSON: ``{"id", "call", "arguments"}`` or the reply to it, ``{"id", "result"}`` or
    ``{"id", "error"}``. A handler may return an open file instead of JSON: it is attached to the
    reply ``{"id", "file"}``.

    Args:
        connection: To the other end.
        handlers: The methods that the other end may call, by name.
    """

    def __init__(self, connection: Connection, handlers: Mapping[str, Handler]) -> None:
        self._connection = connection
        self._handlers = handlers
        self._calls: dict[int, asyncio.Future[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._number = 0
        self._closed = False

    async def call(self, name: str, /, **arguments: Any) -> Any:
        """Call a method of the other end, and return the result.

        Returns:
            JSON; or the descriptor of a file, which the caller has to close.

        Raises:
            WorkerGone: The other end has closed before it replied.
            Exception: The other end has raised it.
        """
        if self._closed:
            raise WorkerGone
        self._number += 1
        number = self._number
        reply = self._calls[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"id": number, "call": name, "arguments": arguments})
            return await reply
        finally:
            del self._calls[number]

    async def run(self) -> None:
        """Receive calls and replies until the other end closes."""
        try:
            with suppress(EOFError):
                while True:
                    message, files = await self._connection.receive()
                    self._received(json.loads(message), files)
        finally:
            self.close()

    def close(self) -> None:
        """Close this end; calls that wait for a reply raise `WorkerGone`."""
        self._closed = True
        for reply in self._calls.values():
            if not reply.done():
                reply.set_exception(WorkerGone())
        self._connection.close()

    def _received(self, message: dict[str, Any], files: Sequence[int]) -> None:
        if "call" in message:
            task = asyncio.get_running_loop().create_task(self._answer(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
            return
        reply = self._calls.get(message["id"])
        if reply is None or reply.done():  # the caller was cancelled
            for file in files:
                os.close(file)
        elif "error" in message:
            reply.set_exception(error_from_json(message["error"]))
        else:
            reply.set_result(files[0] if "file" in message else message["result"])

    async def _answer(self, message: dict[str, Any]) -> None:
        files: Sequence[OpenFile] = ()
        try:
            result = await self._handlers[message["call"]](**message["arguments"])
            if hasattr(result, "fileno"):
                reply, files = {"id": message["id"], "file": True}, [result]
            else:
                reply = {"id": message["id"], "result": result}
        except Exception as error:
            reply = {"id": message["id"], "error": error_to_json(error)}
        self._send(reply, files)

    def _send(self, message: dict[str, Any], files: Sequence[OpenFile] = ()) -> None:
        self._connection.send(json.dumps(message).encode(), files)

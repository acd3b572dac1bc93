"""The REST protocol: what is asked at which path, and the answer."""

from __future__ import annotations

import asyncio
import hmac
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import asdict
from typing import Any, TypeAlias
from urllib.parse import unquote

import orjson

from aeros_core.data import Batch
from aeros_core.errors import AerosError
from aeros_serving import account, codec, openapi, prometheus
from aeros_serving.control import Control
from aeros_serving.exchange import Exchange, error
from aeros_serving.failures import Malformed, NotAllowed, Refused, Unknown, plain, refusal, short
from aeros_serving.inference import Request, outputs_of, rows_of
from aeros_serving.job import Job
from aeros_serving.served import Served
from aeros_serving.shelf import Shelf

__all__ = ["Rest"]

_log = logging.getLogger(__name__)

_LENGTH = codec.LENGTH.encode()
_PACK = 1024
"""Bytes below which an answer is not worth compressing."""

_Route: TypeAlias = Callable[[Exchange, str, str], Any]


class Rest:
    """Answers exchanges.

    Args:
        shelf: The models.
        token: What a request has to bear; empty: nothing.
        max_body: Bytes of a body that was compressed.
        control: Whether clients may load and unload models.
    """

    def __init__(self, shelf: Shelf, token: str, max_body: int, control: bool) -> None:
        self._shelf = shelf
        self._token = f"Bearer {token}".encode() if token else b""
        self._max_body = max_body
        self._control = Control(shelf, control)
        self._tasks: set[asyncio.Task[None]] = set()

    def __call__(self, exchange: Exchange) -> None:
        """Answer an exchange, now or later."""
        try:
            path = exchange.target.partition(b"?")[0].decode("ascii")
            self._route(exchange, path)
        except Exception as failure:
            self._fail(exchange, failure)

    def admits(self, exchange: Exchange) -> bool:
        """Tell whether an exchange bears the token; health is told without it."""
        if not self._token or exchange.target.startswith(b"/v2/health/"):
            return True
        given = exchange.headers.get(b"authorization", b"")
        return hmac.compare_digest(given, self._token)

    def _route(self, exchange: Exchange, path: str) -> None:
        parts = path.rstrip("/").split("/")[1:]
        if "//" in path:
            parts = [part for part in parts if part]
        if "%" in path:
            parts = [unquote(part) for part in parts]
        match parts:
            case ["v2", "models", name, "infer"]:
                self._post(exchange, self._infer, name)
            case ["v2", "models", name, "versions", version, "infer"]:
                self._post(exchange, self._infer, name, version)
            case ["v2", "repository", "index"]:
                self._post(exchange, self._index)
            case ["v2", "repository", "models", name, ("load" | "unload") as verb]:
                self._post(exchange, self._load if verb == "load" else self._unload, name)
            case _:
                self._look(exchange, parts)

    def _post(self, exchange: Exchange, route: _Route, name: str = "", version: str = "") -> None:
        if exchange.method != "POST":
            raise NotAllowed("POST")
        if encoding := exchange.headers.get(b"content-encoding", b"").decode("latin-1").lower():
            exchange.body = codec.inflated(encoding, exchange.body, self._max_body)
        found = route(exchange, name, version)
        if asyncio.iscoroutine(found):
            self._spawn(exchange, found)

    def _spawn(self, exchange: Exchange, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(self._later(exchange, work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _later(self, exchange: Exchange, work: Awaitable[object]) -> None:
        try:
            found = await work
            exchange.reply(200, [b"" if found is None else orjson.dumps(found)])
        except Exception as failure:
            self._fail(exchange, failure)

    def _look(self, exchange: Exchange, parts: list[str]) -> None:
        if (found := self._seen(parts)) is None:
            raise Unknown(short(f"there is nothing at /{'/'.join(parts)}"))
        if exchange.method not in ("GET", "HEAD"):
            raise NotAllowed("GET")
        status, data = found
        if isinstance(data, str):
            exchange.reply(status, [data.encode()], {"content-type": prometheus.CONTENT_TYPE})
        else:
            exchange.reply(status, [b"" if data is None else orjson.dumps(data)])

    def _seen(self, parts: list[str]) -> tuple[int, Any] | None:
        """Return status and content of what is only looked at; None: there is nothing."""
        shelf = self._shelf
        match parts:
            case []:
                return 200, account.welcome()
            case ["v2"]:
                return 200, account.server()
            case ["v2", "health", "live"]:
                return 200, None
            case ["v2", "health", "ready"]:
                return (
                    (200, None) if shelf.ready else (503, {"error": "the server is about to end"})
                )
            case ["v2", "models", "stats"]:
                lanes = [lane for slot in shelf for lane in slot.lanes]
                return 200, {"model_stats": [account.statistics(lane) for lane in lanes]}
            case ["v2", "models", name, *more]:
                return self._model(name, more)
            case ["metrics"]:
                return 200, prometheus.text(shelf)
            case ["openapi.json"]:
                return 200, openapi.document(shelf)
        return None

    def _model(self, name: str, more: list[str]) -> tuple[int, Any] | None:
        version, rest = "", more
        if len(more) > 1 and more[0] == "versions":
            version, rest = more[1], more[2:]
        if rest not in ([], ["ready"], ["stats"], ["config"]):
            return None
        slot, lanes = self._shelf.loaded(name, version)
        if rest == ["ready"]:
            return (200, None) if self._shelf.ready else (503, {"error": "about to end"})
        if rest == ["stats"]:
            return 200, {"model_stats": [account.statistics(lane) for lane in lanes]}
        if rest == ["config"]:
            return 200, account.config(lanes[0])
        return 200, account.metadata(slot, lanes[0])

    # ------------------------------------------------------------ inference

    def _infer(self, exchange: Exchange, name: str, version: str) -> None:
        lane = self._shelf.lane(name, version)
        served = lane.served
        try:
            length = exchange.headers.get(_LENGTH)
            request = codec.request_of(
                exchange.body, None if length is None else length.decode("latin-1")
            )
            batch = served.contract.check(request.tensors, request.datatypes, request.bad)
        except Refused as refused:
            served.statistics.failed(type(refused).__name__, 0.0)
            raise
        deadline = math.inf
        if request.timeout < math.inf:
            deadline = time.monotonic() + request.timeout

        def done(answer: Batch | Refused) -> None:
            self._answered(exchange, request, served, answer)

        def gone() -> None:
            job.cancelled = True

        job = Job(batch, rows_of(batch), done, deadline, how=request.how)
        exchange.gone = gone
        lane.submit(job)

    def _answered(
        self, exchange: Exchange, request: Request, served: Served, answer: Batch | Refused
    ) -> None:
        exchange.gone = None
        if isinstance(answer, Refused):
            self._fail(exchange, answer)
            return
        try:
            body, headers = codec.encode(request, served, outputs_of(request, served, answer))
        except Exception as failure:
            self._fail(exchange, failure)
            return
        accepted = exchange.headers.get(b"accept-encoding")
        if accepted and sum(map(len, body)) > _PACK:
            packed, encoding = codec.packed(accepted.decode("latin-1"), body)
            exchange.reply(
                200, packed, headers | {"content-encoding": encoding} if encoding else headers
            )
        else:
            exchange.reply(200, body, headers)

    # ------------------------------------------------------------ the repository

    async def _index(self, exchange: Exchange, _name: str, _version: str) -> object:
        asked = codec.parsed(exchange.body) if exchange.body else {}
        ready = asked.get("ready", False)
        if not isinstance(ready, bool):
            raise Malformed("'ready' is true or false")
        return [asdict(entry) for entry in await self._shelf.index(ready)]

    async def _load(self, exchange: Exchange, name: str, _version: str) -> None:
        await self._control.load(name, _parameters(exchange))

    async def _unload(self, exchange: Exchange, name: str, _version: str) -> None:
        await self._control.unload(name, _parameters(exchange))

    # ------------------------------------------------------------ failures

    def _fail(self, exchange: Exchange, failure: Exception) -> None:
        headers: dict[str, str | int] = {}
        if isinstance(failure, NotAllowed):
            headers["allow"] = failure.args[0]
            exchange.reply(405, error(f"this is asked with {failure.args[0]}"), headers)
            return
        if isinstance(failure, MemoryError | AerosError):
            failure = refusal(failure)
        if isinstance(failure, Refused):
            exchange.reply(failure.http, error(str(failure)), headers)
        elif isinstance(failure, UnicodeError):
            exchange.reply(400, error("the path is not ASCII"))
        else:
            _log.error("a request could not be answered", exc_info=failure)
            exchange.reply(500, error(f"{type(failure).__name__}: {plain(failure)}"))


def _parameters(exchange: Exchange) -> dict[str, Any]:
    """Return the parameters of a request to the repository."""
    parameters = codec.parsed(exchange.body).get("parameters") if exchange.body else None
    if not isinstance(parameters, dict | None):
        raise Malformed("'parameters' is an object")
    return parameters or {}

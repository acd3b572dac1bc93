"""The REST protocol: what is asked at which path, and the answer."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, TypeAlias
from urllib.parse import unquote

from aeros_core.errors import AerosError
from aeros_serving import metadata
from aeros_serving.config import Serving
from aeros_serving.control.admin import Control
from aeros_serving.models.repository import ModelRepository
from aeros_serving.protocol.errors import (
    Malformed,
    NotAllowed,
    Refused,
    Unknown,
    plain,
    refusal,
    short,
)
from aeros_serving.requests import LARGE, run_by_cost
from aeros_serving.rest import codec as rest_codec
from aeros_serving.rest import compression, openapi, prometheus
from aeros_serving.rest.http_message import (
    HttpRequest,
    HttpResponse,
    error_response,
    json_response,
)
from aeros_serving.rest.inference import infer

__all__ = ["RestApi"]

_log = logging.getLogger(__name__)

_Route: TypeAlias = Callable[[HttpRequest, str, str], Awaitable[HttpResponse]]


class RestApi:
    """Answers requests of the REST protocol.

    Args:
        repository: The models of this process.
        control: Loads and unloads them, and reports about all processes of the server.
        token: Bearer token that a request needs; empty: none.
        options: ``max_body`` bounds what a compressed body holds, ``non_finite`` says what
            becomes of NaN in JSON.
    """

    def __init__(
        self, repository: ModelRepository, control: Control, token: str, options: Serving
    ) -> None:
        self._repository = repository
        self._token = f"Bearer {token}".encode() if token else b""
        self._max_body, self._non_finite = options.max_body, options.non_finite
        self._control = control

    def refuse(self, request: HttpRequest) -> HttpResponse | None:
        """Return 401 where a request lacks the token; health is reported without it."""
        if not self._token or request.path.startswith("/v2/health/"):
            return None
        given = request.headers.get("authorization", "").encode("latin-1")
        if hmac.compare_digest(given, self._token):
            return None
        response = error_response(401, "the request bears no token that is known here")
        response.headers.append(("www-authenticate", "Bearer"))
        return response

    async def answer(self, request: HttpRequest) -> HttpResponse:
        """Return the response to a request; whatever is wrong with it is a response too."""
        try:
            return await self._route(request)
        except Exception as failure:
            return _failed(failure)

    def _route(self, request: HttpRequest) -> Awaitable[HttpResponse]:
        path = request.path
        parts = path.rstrip("/").split("/")[1:]
        if "//" in path:
            parts = [part for part in parts if part]
        if "%" in path:
            parts = [unquote(part) for part in parts]
        match parts:
            case ["v2", "models", name, "infer"]:
                return self._post(request, self._infer, name)
            case ["v2", "models", name, "versions", version, "infer"]:
                return self._post(request, self._infer, name, version)
            case ["v1", "models", name, *_]:
                raise Unknown(_version_2(name))
            case ["v2", "repository", "index"]:
                return self._post(request, self._index)
            case ["v2", "repository", "models", name, "load"]:
                return self._post(request, self._load, name)
            case ["v2", "repository", "models", name, "unload"]:
                return self._post(request, self._unload, name)
        return self._look(request, parts)

    async def _post(
        self, request: HttpRequest, route: _Route, name: str = "", version: str = ""
    ) -> HttpResponse:
        if request.method != "POST":
            raise NotAllowed("POST")
        return await route(request, name, version)

    async def _inflate(self, request: HttpRequest) -> None:
        """Replace a body that is compressed by what it holds."""
        if encoding := request.headers.get("content-encoding", "").lower():
            body, most = request.body, self._max_body
            request.body = await run_by_cost(
                LARGE + 1, lambda: compression.inflated(encoding, body, most)
            )

    async def _look(self, request: HttpRequest, parts: list[str]) -> HttpResponse:
        if (found := await self._seen(parts)) is None:
            raise Unknown(short(f"there is nothing at /{'/'.join(parts)}"))
        if request.method not in ("GET", "HEAD"):
            raise NotAllowed("GET")
        status, data = found
        if isinstance(data, bytes):
            return HttpResponse(status, [("content-type", "application/json")], data)
        if isinstance(data, str):
            return HttpResponse(status, [("content-type", prometheus.CONTENT_TYPE)], data.encode())
        return json_response(status, data)

    async def _seen(self, parts: list[str]) -> tuple[int, Any] | None:
        """Return status and content of what is only looked at; None: there is nothing."""
        match parts:
            case []:
                return 200, metadata.greeting()
            case ["v2"]:
                return 200, metadata.server()
            case ["v2", "health", "live"]:
                return 200, {"live": True}
            case ["v2", "health", "ready"]:
                ready = any(self._repository) and await self._ready()
                return 200 if ready else 503, {"ready": ready}
            case ["v2", "models", "stats"]:
                return 200, await self._statistics()
            case ["v2", "models", name, *more]:
                return await self._model(name, more)
            case ["metrics"]:
                return 200, prometheus.text(await self._control.report())
            case ["openapi.json"]:
                return 200, openapi.document(tuple(each.name for each in self._repository))
        return None

    async def _ready(self) -> bool:
        return self._repository.ready and await self._control.ready()

    async def _is_ready(self, name: str, version: str) -> bool:
        """Tell whether a model takes requests.

        Raises:
            Unknown: The repository has no such model.
        """
        try:
            self._repository.loaded(name, version)
        except Unknown:
            entries = await self._control.index(False)
            if any(e.name == name and version in ("", e.version) for e in entries):
                return False
            raise
        return await self._ready()

    async def _statistics(self, name: str = "", version: str = "") -> dict[str, Any]:
        reports = await self._control.versions(name, version)
        return {"model_stats": [metadata.statistics(report) for report in reports]}

    async def _model(self, name: str, more: list[str]) -> tuple[int, Any] | None:
        version, rest = "", more
        if len(more) > 1 and more[0] == "versions":
            version, rest = more[1], more[2:]
        if rest not in ([], ["ready"], ["stats"], ["config"]):
            return None
        if rest == ["ready"]:
            ready = await self._is_ready(name, version)
            return 200 if ready else 503, {"name": name, "ready": ready}
        deployment, queues = self._repository.loaded(name, version)
        if rest == ["stats"]:
            return 200, await self._statistics(name, version)
        if rest == ["config"]:
            return 200, metadata.config(queues[0])
        return 200, metadata.metadata(deployment, queues[0])

    # ------------------------------------------------------------ inference

    async def _infer(self, request: HttpRequest, name: str, version: str) -> HttpResponse:
        queue = self._repository.queue(name, version)
        await self._inflate(request)
        return await infer(request, queue, self._non_finite)

    # ------------------------------------------------------------ the repository

    async def _index(self, request: HttpRequest, _name: str, _version: str) -> HttpResponse:
        await self._inflate(request)
        asked = rest_codec.parsed(request.body) if request.body else {}
        ready = asked.get("ready", False)
        if not isinstance(ready, bool):
            raise Malformed("'ready' is true or false")
        entries = await self._control.index(ready)
        return json_response(200, [asdict(entry) for entry in entries])

    async def _load(self, request: HttpRequest, name: str, _version: str) -> HttpResponse:
        await self._inflate(request)
        await self._control.load(name, _parameters(request))
        return HttpResponse(200, [("content-type", "application/json")])

    async def _unload(self, request: HttpRequest, name: str, _version: str) -> HttpResponse:
        await self._inflate(request)
        await self._control.unload(name, _parameters(request))
        return HttpResponse(200, [("content-type", "application/json")])


def _version_2(name: str) -> str:
    """Return where a request of the protocol's first version has to go instead."""
    path = f"/v2/models/{short(name.partition(':')[0])}"
    return f"version 1 of the protocol is not supported; ask POST {path}/infer, or GET {path}"


def _parameters(request: HttpRequest) -> dict[str, Any]:
    """Return the parameters of a request to the repository."""
    parameters = rest_codec.parsed(request.body).get("parameters") if request.body else None
    if not isinstance(parameters, dict | None):
        raise Malformed("'parameters' is an object")
    return parameters or {}


def _failed(failure: Exception) -> HttpResponse:
    """Return the response that says why there is no answer."""
    if isinstance(failure, NotAllowed):
        response = error_response(405, f"this is asked with {failure.args[0]}")
        response.headers.append(("allow", failure.args[0]))
        return response
    if isinstance(failure, MemoryError | AerosError):
        failure = refusal(failure)
    if isinstance(failure, Refused):
        return error_response(failure.http, str(failure))
    _log.error("a request could not be answered", exc_info=failure)
    return error_response(500, f"{type(failure).__name__}: {plain(failure)}")

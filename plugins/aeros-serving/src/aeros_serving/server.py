"""The server: models, two protocols, and their life from the first load to the last answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from aeros_core.errors import AerosError, ConfigError
from aeros_core.options.ranges import check_range
from aeros_core.reporting.text import counted
from aeros_serving.config import Serving
from aeros_serving.control.admin import Control
from aeros_serving.control.controller import DeploymentController
from aeros_serving.control.process_group import ProcessGroup, SingleProcess
from aeros_serving.models.batching import Batching
from aeros_serving.models.repository import ModelRepository
from aeros_serving.models.version import Loader
from aeros_serving.protocol.errors import Refused
from aeros_serving.rest.api import RestApi
from aeros_serving.rest.buffer_budget import BufferBudget
from aeros_serving.rest.connection.open_files import connections_within
from aeros_serving.rest.http_server import HttpServer
from aeros_serving.rest.limits import Limits
from aeros_serving.security import Security

if TYPE_CHECKING:
    from aeros_serving.grpc.server import GrpcServer

__all__ = ["Server", "check_options", "load_all", "port_errors"]

_log = logging.getLogger(__name__)

_LAST = 1.0
"""Seconds in which clients may still take what they were told at the end."""


class Server:
    """Serves models until it is told to end.

    Args:
        loader: Takes versions of models up.
        options: What `config.Serving` says.
        group: The processes of the server, if it has several; this is one of them.

    Attributes:
        models: The models of this process.
        ended: Set once the server is to end.
        failure: Why it ends by itself; such a server does not.

    Raises:
        ConfigError: The options contradict one another, or a file cannot be read.
    """

    def __init__(self, loader: Loader, options: Serving, group: ProcessGroup | None = None) -> None:
        check_options(options)
        self.options = options
        self._security = Security.of(options)
        self.models = ModelRepository(loader, options)
        self._controller = DeploymentController(loader.repository, options, self.models)
        self._control = Control(
            group or SingleProcess(self.models, self._controller), options.control
        )
        self.http_port = self.grpc_port = -1
        self.ended = asyncio.Event()
        self.failure: AerosError | None = None
        self._http: HttpServer | None = None
        self._grpc: GrpcServer | None = None
        self._limits = Limits(
            options.max_body,
            options.read_timeout,
            options.idle_timeout,
            connections_within(options.max_connections),
            BufferBudget(options.max_unfinished or 4 * options.max_body),
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, models: Sequence[str]) -> None:
        """Load models, each ``NAME[:version|tag]``, and open the ports.

        Raises:
            AerosError: No model can be loaded; no port was opened.
            ConfigError: A port cannot be opened.
        """
        await load_all(self._controller, models, self.options)
        await self.open(self.options.http_port, self.options.grpc_port)
        if self.options.poll:
            loop = asyncio.get_running_loop()
            self._tasks.append(loop.create_task(self._controller.follow()))

    async def open(self, http_port: int, grpc_port: int, share: bool = False) -> None:
        """Open the ports.

        Args:
            http_port: Port of the REST protocol; 0: any that is free; -1: none.
            grpc_port: Port of the gRPC protocol, the same way.
            share: Whether other processes listen on the same ports.

        Raises:
            ConfigError: A port cannot be opened.
        """
        if http_port >= 0:
            await self._open_http(http_port, share)
        if grpc_port >= 0:
            await self._open_grpc(grpc_port, share)

    @property
    def live_versions(self) -> dict[str, int]:
        """The live version of each model."""
        return {each.name: each.live.served.version for each in self.models}

    @property
    def processes(self) -> list[int]:
        """Numbers of other processes that answer; there are none."""
        return []

    async def _open_http(self, port: int, share: bool) -> None:
        options = self.options
        api = RestApi(self.models, self._control, self._security.token, options)
        self._http = HttpServer(api, self._limits)
        with port_errors("http_port", options.host, port):
            self.http_port = await self._http.open(
                options.host, port, self._security.context, share
            )

    async def _open_grpc(self, port: int, share: bool) -> None:
        from aeros_serving.grpc import service
        from aeros_serving.grpc.server import GrpcLimits, GrpcServer

        options = self.options
        limits = GrpcLimits(
            options.max_body, options.max_connections, options.read_timeout, options.idle_timeout
        )
        self._grpc = GrpcServer(
            service.methods(self.models, self._control), self._security.token, limits,
            options.grpc_compression.name,
        )  # fmt: skip
        try:
            with port_errors("grpc_port", options.host, port):
                self.grpc_port = await self._grpc.open(
                    options.host, port, self._security.pem, shared=share
                )
        except ConfigError:
            if self._http is not None:
                await self._http.stop(0)
            raise

    async def stop(self) -> bool:
        """Take no more requests, answer those that are there, and close.

        Returns:
            Whether no thread computes or loads any more.
        """
        for task in self._tasks:
            task.cancel()
        servers = [each for each in (self._http, self._grpc) if each is not None]
        ends = [each.stop(self.options.drain + _LAST) for each in servers]
        closing = asyncio.gather(self.models.drain(), *ends)
        await asyncio.wait([closing], timeout=self.options.drain)
        if given := self.models.give_up():
            told = "serving.drain=%g s are over: %s not answered, and told so (503, UNAVAILABLE)"
            _log.warning(told, self.options.drain, counted(given, "request"))
        await asyncio.wait([closing], timeout=_LAST)
        closed = not closing.cancel()
        self._controller.close()
        self.models.close()
        return closed and not self.models.working and not self._controller.reading


async def load_all(
    controller: DeploymentController, models: Sequence[str], options: Serving
) -> None:
    """Load models, each ``NAME[:version|tag]``; one that cannot be loaded is logged.

    Raises:
        AerosError: None can be loaded.
    """
    failures: list[Exception] = []
    for model in models:
        name, _, ref = model.partition(":")
        try:
            await controller.load_at_start(name, ref)
        except Refused as refused:
            failures.append(ConfigError(str(refused), hint="aeros models list"))
        except Exception as error:
            failures.append(error)
    if failures and not controller.targets:
        raise failures[0]
    for failure in failures:
        bug = None if isinstance(failure, AerosError) else failure
        _log.error("%s; the other models are served", failure, exc_info=bug)
    served = [target.name for target in controller.targets]
    for name in options.models:
        if name not in served:  # a client may load it later
            text = "serving.models.%s is for a model that is not served now; models: %s"
            _log.warning(text, name, ", ".join(served) or "none")


def check_options(options: Serving) -> None:
    """Check options against one another.

    Raises:
        ConfigError: They contradict one another, or a value is out of its range.
    """
    for name in ("", *options.models):
        Batching.of(options, name)
    for name in ("read_timeout", "idle_timeout", "max_body", "max_connections"):
        _within(options, name, getattr(options, name) > 0, "more than 0")
    _within(options, "workers", options.workers >= 1, "1 or more")
    for name in ("poll", "drain", "max_unfinished", "worker_timeout"):
        _within(options, name, getattr(options, name) >= 0, "0 or more")
    if options.max_unfinished and options.max_unfinished < options.max_body:
        raise ConfigError(
            f"serving.max_unfinished={options.max_unfinished} has no room for one request of"
            f" serving.max_body={options.max_body}",
            hint=f"serving.max_unfinished={4 * options.max_body}, or 0: four times max_body",
        )
    _within(options, "canary_share", 0 <= options.canary_share <= 1, "0 to 1")
    if bool(options.canary) != bool(options.canary_share):
        raise ConfigError(
            "serving.canary and serving.canary_share go together",
            hint="serving.canary=next serving.canary_share=0.1",
        )
    for name in ("http_port", "grpc_port"):
        told = "0 to 65535, 0 any that is free; -1: none"
        _within(options, name, -1 <= getattr(options, name) < 65536, told)
    if options.http_port < 0 and options.grpc_port < 0:
        raise ConfigError(
            "serving.http_port and serving.grpc_port are both -1: nothing would listen"
        )


def _within(options: Serving, name: str, fits: bool, exists: str) -> None:
    check_range(f"serving.{name}", getattr(options, name), fits, exists)


@contextlib.contextmanager
def port_errors(option: str, host: str, port: int) -> Iterator[None]:
    """Raise what keeps a port from being opened as `ConfigError`."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise ConfigError(
            f"serving.{option}={port} cannot be opened on {host}: {why}",
            hint=f"end what listens there, or choose another: serving.{option}=0 takes a free one",
        ) from error

"""Where a controller meets its nodes: a SuperLink of its own, or one elsewhere."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

from aeros_core.errors import ConfigError
from aeros_flower.http.access_control import AccessControl, App
from aeros_flower.http.reverse_proxy import ReverseProxy
from aeros_flower.http.server import HttpServer, listen
from aeros_flower.metrics import count_refusal
from aeros_flower.security import certificates
from aeros_flower.security.enrolment import Enrolment
from aeros_flower.security.keys import Admitted
from aeros_flower.superlink import app_bundle
from aeros_flower.superlink.embedded import EmbeddedSuperLink
from aeros_flower.superlink.plain_nodes import PlainNode
from aeros_flower.superlink.remote import superlink
from aeros_flower.superlink.resilient_session import ResilientSession
from aeros_flower.superlink.standby.client import standby_session
from aeros_flower.superlink.subprocess_superlink import SuperLinkFront, stock
from aeros_flower.system.address import split
from aeros_flower.system.network import is_loopback, say
from aeros_flower.system.versions import TRIED, is_tried, one_port, tried

__all__ = ["Endpoint", "EndpointOptions"]


class Endpoint(PlainNode, Protocol):
    """A line to nodes, from its opening to its end."""

    @property
    def address(self) -> str:
        """Host and port at which executors find it."""

    def close(self) -> None:
        """End it."""


@dataclass(frozen=True, slots=True)
class EndpointOptions:
    """What of `aeros_flower.config.Flower` says where nodes come to.

    Raises:
        ConfigError: Options exclude each other, or strangers would be let in.
    """

    superlink: str | None
    ca: str | None
    host: str
    port: int
    certificate: str | None
    key: str | None
    admitted: str | None
    insecure: bool
    stock: bool
    app: str | None
    folder: Path | None = None
    """Where a controller of this machine stands by (`aeros_flower.superlink.standby.client`)."""

    def __post_init__(self) -> None:
        """Check what can be checked before anything is opened."""
        if bool(self.certificate) != bool(self.key):
            raise ConfigError(
                "controller.certificate and controller.key go together",
                hint="aeros certs make writes both",
            )
        if self.superlink is not None:
            self._check_elsewhere(self.superlink)
        elif self.ca is not None:
            raise ConfigError(
                f"controller.ca={self.ca} is for a SuperLink elsewhere, and none is named",
                hint="controller.superlink=HOST:PORT, or leave controller.ca out",
            )
        if self.folder is not None and (self.certificate or self.admitted):
            raise ConfigError(
                f"the controller that aeros up started has port {self.port}, without TLS and keys",
                hint="aeros down, then the same command; executors: aeros executor HOST:PORT",
            )
        guarded = self.certificate and self.admitted
        if not self.insecure and not is_loopback(self.host) and not guarded:
            raise ConfigError(
                f"controller.host={self.host} is reached from other machines, and open to anybody",
                exists="controller.certificate, controller.key and controller.admitted",
                hint="aeros certs make, then set these; or controller.insecure=true in a network"
                " that you trust",
            )

    def _check_elsewhere(self, superlink: str) -> None:
        split(superlink)
        for name in ("certificate", "admitted"):
            if getattr(self, name) is not None:
                raise ConfigError(
                    f"controller.{name} is for a SuperLink of this process, and"
                    f" controller.superlink={superlink} names another",
                    exists="flower-superlink --ssl-certfile, --ssl-keyfile, --ssl-ca-certfile and"
                    " --enable-supernode-auth there, controller.ca here",
                    hint="leave one of them out",
                )

    def open(self, wait: float) -> Endpoint:
        """Return a line to nodes.

        Args:
            wait: Seconds to wait for a SuperLink elsewhere.

        Raises:
            ConfigError: It cannot be opened.
            TaskError: The SuperLink cannot be reached.
        """
        if self.folder is None and self.superlink is None and not is_tried():
            return self._stock(wait)
        bundle = (
            app_bundle.of(Path(self.app)) if self.app else app_bundle.ours() if self.stock else None
        )
        if self.folder is not None:
            address, embed = f"{self.host}:{self.port}", partial(self._listen, bundle)
            return standby_session(self.folder, address, bundle, embed, wait, say)
        if self.superlink is None:
            return self._listen(bundle)
        tried()
        host, _ = split(self.superlink)
        return superlink(
            self.superlink,
            Path(self.ca) if self.ca else None,
            insecure=self.insecure or (self.ca is None and is_loopback(host)),
            fab=bundle or app_bundle.ours(),
            wait=wait,
            tell=say,
        )

    def _listen(self, bundle: bytes | None) -> EmbeddedSuperLink:
        found: list[EmbeddedSuperLink] = []

        def enrol(key: bytes, name: str) -> None:
            found[0].enrol(key, name)

        def expel(key: bytes) -> None:
            say(f"the key of {found[0].expel(key)} is not admitted any more")

        wrap, pair = self._guard(enrol, expel), self._pair()
        link = EmbeddedSuperLink(listen(self.host, self.port), pair, wrap, bundle)
        found.append(link)
        return link

    def _stock(self, wait: float) -> ResilientSession:
        """Return a line over a SuperLink as Flower ships it, behind a gate where it has HTTP."""
        app, behind = Path(self.app) if self.app else None, _free()
        if not one_port():
            return stock(self._apart(behind), app, wait, say)
        enrolment = Enrolment()
        wrap, pair = self._guard(enrolment.enrol), self._pair()
        port = HttpServer(wrap(ReverseProxy(behind)), listen(self.host, self.port), pair)
        return stock(
            SuperLinkFront(port.address, behind, port=port), app, wait, say, enrolment.begin
        )

    def _apart(self, behind: int) -> SuperLinkFront:
        """Return a port for nodes that the SuperLink itself opens."""
        if self.certificate or self.admitted or not (self.insecure or is_loopback(self.host)):
            raise ConfigError(
                f"flwr {version('flwr')} is installed, with which TLS and keys of nodes are not"
                " offered here",
                exists=f"flwr {TRIED}, or slower any from 1.40 on",
                hint=f"pip install flwr=={TRIED}",
            )
        listen(self.host, self.port).close()  # says whether it is taken
        address = f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
        return SuperLinkFront(address, behind, ("--fleet-api-address", address))

    def _pair(self) -> tuple[str, str] | None:
        if not (self.certificate and self.key):
            return None
        certificates.usable(Path(self.certificate), Path(self.key))
        return self.certificate, self.key

    def _guard(
        self, enrol: Callable[[bytes, str], None], expel: Callable[[bytes], None] | None = None
    ) -> Callable[[App], App]:
        admitted = Admitted(Path(self.admitted)) if self.admitted else None

        def wrap(app: App) -> App:
            return AccessControl(
                app, admitted=admitted, enrol=enrol, expel=expel, refused=count_refusal
            )

        return wrap


def _free() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])

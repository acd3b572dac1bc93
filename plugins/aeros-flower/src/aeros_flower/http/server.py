"""A port of this machine at which an ASGI application is served."""

from __future__ import annotations

import errno
import socket
import threading
import time

from aeros_core.errors import ConfigError
from aeros_flower.http.long_polling import App

__all__ = ["HttpServer", "listen"]

_STARTS = 30.0
"""Seconds that a server may take to start."""


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens; port 0: whichever is free.

    Raises:
        ConfigError: The port is taken, or the address is none of this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    found = socket.socket(family, socket.SOCK_STREAM)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        found.bind((host, port))
    except OverflowError as error:
        found.close()
        raise ConfigError(
            f"controller.port={port} is no port", hint="controller.port=PORT, 1 to 65535"
        ) from error
    except OSError as error:
        found.close()
        free = "end what listens there (another aeros run? aeros up elsewhere?), or"
        raise ConfigError(
            f"controller.port={port}: {host}:{port} cannot be listened on: {error.strerror}",
            hint=f"{free} controller.port=PORT, and the same for the executors"
            if error.errno == errno.EADDRINUSE
            else "controller.host=ADDRESS, one of this machine's (0.0.0.0: all of them), and a"
            " controller.port that this user may open",
        ) from error
    return found


class HttpServer:
    """Serves an application from a thread, until it is closed.

    Args:
        app: What is served.
        door: Where to listen; see `listen`.
        certificate: Files of certificate and key (PEM); None: no TLS.
    """

    def __init__(
        self, app: App, door: socket.socket, certificate: tuple[str, str] | None = None
    ) -> None:
        import uvicorn

        files = dict(zip(("ssl_certfile", "ssl_keyfile"), certificate or (), strict=False))
        self._door = door
        self._server = uvicorn.Server(
            uvicorn.Config(
                app, log_config=None, access_log=False, ws="none", server_header=False,
                timeout_graceful_shutdown=1, timeout_keep_alive=60, **files,  # type: ignore[arg-type]
            )
        )  # fmt: skip
        serve = {"sockets": [door]}
        self._thread = threading.Thread(target=self._server.run, kwargs=serve, daemon=True)
        self._thread.start()

    @property
    def address(self) -> str:
        """Host and port it listens on."""
        host, port, *_ = self._door.getsockname()
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"

    def wait(self) -> None:
        """Wait until it serves."""
        ends = time.monotonic() + _STARTS
        while not self._server.started and self._thread.is_alive() and time.monotonic() < ends:
            time.sleep(0.005)

    def close(self) -> None:
        """Stop to listen."""
        self._server.should_exit = True
        self._thread.join(timeout=5)
        self._door.close()

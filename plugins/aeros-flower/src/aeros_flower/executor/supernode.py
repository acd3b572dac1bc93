"""Flower's own node in an executor's place, where another version of Flower is installed."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path

from aeros_core.errors import ConfigError, TaskError
from aeros_flower.executor.controller_search import Search
from aeros_flower.http.status_codes import Lost
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.security.probe import greet
from aeros_flower.system.child_process import start_child
from aeros_flower.system.network import say
from aeros_flower.system.versions import TRIED, one_port

__all__ = ["serve"]

_BRIEF, _OFTEN = 20.0, 5
"""Seconds below which a node has ended at once, and how often in a row it may."""


def serve(
    place: ExecutorInfo,
    address: str,
    *,
    insecure: bool,
    ca: Path | None = None,
    key: Path | None = None,
    wait: float = 86400.0,
    greeted: Callable[[], str] | None = None,
) -> None:
    """Run a stock SuperNode for the controller at an address, and another whenever it ends.

    Args:
        place: What the executor is.
        address: ``HOST:PORT``.
        insecure: Speak plain HTTP.
        ca: Certificate of the CA to trust.
        key: File of the node's private key.
        wait: Seconds to look for a controller, at most.
        greeted: Returns why no controller answers there that may ask; None: any may.

    Raises:
        ConfigError: The controller is not to be trusted, or the installed flwr is too old.
        TaskError: There was no controller, or the SuperNode ends as soon as it has begun.
    """
    say(
        f"flwr {version('flwr')} is installed, executors go with {TRIED}: a stock SuperNode takes"
        f" part as {place.name}"
    )
    plain = insecure and not one_port()  # then it speaks no HTTP that could be greeted
    words = ["--superlink", address]
    words += ["--insecure"] if insecure else []
    words += ["--root-certificates", str(ca)] if ca and not insecure else []
    words += ["--auth-supernode-private-key", str(key)] if key else []
    greeted, quick = greeted or partial(greet, address, ca, insecure=insecure), 0
    search = Search(place.name, lambda text: say(f"executor {place.name} {text}"), wait)
    while quick < _OFTEN:
        if not plain:
            _found(greeted, search)
        began = time.monotonic()
        code = _run(place, words)
        quick = quick + 1 if time.monotonic() - began < _BRIEF else 0
        say(f"the SuperNode of {place.name} ended with {code}")
        time.sleep(min(2.0**quick, 10.0) if quick else 0.5)
    raise TaskError(
        f"flower-supernode ended {_OFTEN} times at once, with {code}",
        hint="see what it wrote above, or run an executor: pip install flwr==" + TRIED,
    )


def _found(greeted: Callable[[], str], search: Search) -> None:
    """Wait until a controller is there.

    Raises:
        ConfigError: What answers at first is not to be trusted, or speaks otherwise.
        TaskError: Nobody came in time.
    """
    search.restart()
    while why := _why(greeted):
        time.sleep(search.failed(why))
    search.found()


def _why(greeted: Callable[[], str]) -> Lost | ConfigError | None:
    try:
        why = greeted()
    except ConfigError as error:
        return error
    return Lost(why) if why else None


def _run(place: ExecutorInfo, words: list[str]) -> int:
    """Run a SuperNode to its end; return its status."""
    folder = (place.state / place.name).resolve()
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / "node.toml"
    rows = [f"{name} = {json.dumps(value)}" for name, value in place.to_node().items()]
    told.write_text("\n".join(rows), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = ("--host", "127.0.0.1", "--port", str(port), "--node-config", str(told))
    environment = {"FLWR_HOME": str(folder / "flwr")}
    return start_child(["flower-supernode", *words, *own], environment).wait()

"""Flower as it comes, for a version of it whose internals are not known.

``flower-superlink`` and ``flwr run`` are started as a person would start them, stock
SuperNodes run the ClientApp, and the rounds go over the Grid that Flower hands to a
ServerApp (`aeros_flower.superlink.grid_bridge`). Slower by far, and public API alone.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from aeros_core.errors import TaskError
from aeros_core.tasks import waiting
from aeros_flower.http.server import HttpServer
from aeros_flower.superlink import app_bundle
from aeros_flower.superlink.embedded import PulledMessages, quiet
from aeros_flower.superlink.grid_bridge import PLACE, GridBridge
from aeros_flower.superlink.resilient_session import TICK, ResilientSession, Session, SessionLost
from aeros_flower.system.child_process import start_child
from aeros_flower.system.versions import TRIED

__all__ = ["SuperLinkFront", "stock"]

_STARTS = 120.0
"""Seconds that Flower's programs may take to start."""

_LONGEST = 80
"""Letters of the folder for temporary files: a socket's path has to stay below 108."""

_CONFIG = """\
[superlink]
default = "here"
[superlink.here]
address = "127.0.0.1:{port}"
insecure = true
"""


@dataclass(slots=True)
class SuperLinkFront:
    """Where nodes come to a stock SuperLink.

    Args:
        address: Host and port.
        behind: Port of this machine at which the SuperLink itself is to listen.
        words: What ``flower-superlink`` is told beside that.
        port: What listens for nodes and passes them on; None: the SuperLink does.
    """

    address: str
    behind: int
    words: tuple[str, ...] = ()
    port: HttpServer | None = None

    def close(self) -> None:
        """Stop to listen."""
        if self.port is not None:
            self.port.close()


def stock(
    front: SuperLinkFront,
    app: Path | None,
    wait: float,
    tell: Callable[[str], None],
    begun: Callable[[Mapping[str, str]], None] = lambda _: None,
) -> ResilientSession:
    """Return a line over a SuperLink that is started here.

    Args:
        front: Where nodes come to.
        app: Folder of the Flower app that nodes run; None: that of aeros.
        wait: Seconds to try again where the SuperLink is lost.
        tell: Hears when it is lost and when it is back.
        begun: Called whenever a SuperLink has begun, with the variables by which ``flwr``
            finds it as ``here``.

    Raises:
        TaskError: Flower's programs do not start.
    """
    quiet()
    tell(
        f"flwr {version('flwr')} is installed, not {TRIED}: stock nodes and Flower's public API"
        " are used, which takes seconds a round"
    )
    near = len(tempfile.gettempdir()) <= _LONGEST
    folder = Path(tempfile.mkdtemp(prefix="aeros-", dir=None if near else "/tmp"))  # noqa: S108

    def begin(before: Session | None) -> Session:  # noqa: ARG001 - it ended with its SuperLink
        return _Started(folder, front.behind, front.words, begun)

    def after() -> None:
        front.close()
        shutil.rmtree(folder, ignore_errors=True)

    try:
        app_bundle.project(folder / "app", app)
        return ResilientSession(front.address, begin, wait, tell, after)
    except BaseException:
        after()
        raise


class _Started:
    """SuperLink, run and ServerApp (`resilient_session.Session`)."""

    def __init__(
        self,
        folder: Path,
        port: int,
        words: tuple[str, ...],
        begun: Callable[[Mapping[str, str]], None],
    ) -> None:
        self._folder = folder
        self._ends = contextlib.ExitStack()
        self._log = (folder / "flower.log").open("a", encoding="utf-8")
        try:
            self._bridge = self._begun(port, words, begun)
        except BaseException:
            self.abandon()
            raise

    def _begun(
        self, port: int, words: tuple[str, ...], tell: Callable[[Mapping[str, str]], None]
    ) -> GridBridge:
        place = self._folder / "bridge"
        place.unlink(missing_ok=True)
        door = self._ends.enter_context(socket.socket(socket.AF_UNIX))
        door.bind(str(place))
        door.listen(1)
        home = self._folder / "flwr"
        home.mkdir(exist_ok=True)
        (home / "config.toml").write_text(_CONFIG.format(port=port), encoding="utf-8")
        told = {"FLWR_HOME": str(home), PLACE: str(place)}
        superlink = self._start(told, "flower-superlink", "--insecure", "--host", "127.0.0.1",
                                "--port", str(port), *words)  # fmt: skip
        _until(lambda: _listens(port), superlink, self._words)
        tell(told)
        run = self._start(told, "flwr", "run", str(self._folder / "app"), "here")
        door.settimeout(0.1)
        line: list[socket.socket] = []

        def came() -> bool:
            if run.poll():
                raise TaskError(f"flwr run ended with {run.returncode}: {self._words()}")
            with contextlib.suppress(TimeoutError):
                line.append(door.accept()[0])
            return bool(line)

        _until(came, superlink, self._words)
        return GridBridge(line[0])

    def _start(self, told: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
        process = start_child(words, told, self._log)
        self._ends.callback(_end, process)
        return process

    def _words(self) -> str:
        """Return the last of what Flower's programs wrote."""
        text = (self._folder / "flower.log").read_text(encoding="utf-8", errors="replace")
        return text.strip()[-500:]

    def nodes(self) -> set[int]:
        return self._bridge.nodes()

    def executors(self) -> set[int]:
        return self._bridge.executors()

    def push(self, node: int, content: Any, seconds: float | None, kind: str) -> str | None:
        return self._bridge.push(node, content, seconds, kind)

    def pull(self, messages: set[str], most: int) -> list[PulledMessages]:
        return self._bridge.pull(messages, most)

    def recall(self, messages: Iterable[str]) -> list[str]:  # noqa: ARG002 - it takes none back
        return []

    def wait(self, seconds: float) -> bool:
        time.sleep(min(seconds, TICK))
        return True

    def abandon(self) -> None:
        self._ends.close()
        self._log.close()

    def close(self) -> None:
        self._bridge.close()
        self.abandon()


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _until(
    done: Callable[[], bool], process: subprocess.Popen[bytes], words: Callable[[], str]
) -> None:
    """Wait until something holds.

    Raises:
        Gone: It took too long, or the SuperLink ended.
    """
    ends = time.monotonic() + _STARTS
    while not done():
        if process.poll() is not None:
            raise SessionLost(f"flower-superlink ended with {process.returncode}: {words()}")
        if time.monotonic() > ends:
            raise SessionLost(f"Flower's programs did not start within {_STARTS:g} s: {words()}")
        waiting.check()
        time.sleep(0.1)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
        return True
    return False

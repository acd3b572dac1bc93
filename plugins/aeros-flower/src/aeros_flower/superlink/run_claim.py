"""A run of a SuperLink that runs elsewhere, whose server task this process has claimed.

Flower starts a process for each server task; here whoever runs the rounds claims the task
itself, over the same API. Like `aeros_flower.superlink.embedded` this goes with ``flwr==1.41.0``
alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
import time
from typing import Any

from aeros_core.errors import TaskError
from aeros_core.tasks import waiting
from aeros_flower.protocol import objects
from aeros_flower.security.probe import answered
from aeros_flower.superlink.resilient_session import SessionLost
from aeros_flower.system.versions import Same

__all__ = ["ClaimedRun"]

_BEAT = 10.0
"""Seconds between signs of life of the run; Flower gives it up after 60."""

_STARTS, _EACH = 3, 5.0
"""How many runs are started to get hold of one, and seconds to wait for each."""

_TRIES = 3
_AGAIN = ("GetNodes", "PullObject", "PushObject", "ConfirmMessageReceived")
"""What may be asked twice, where the line broke."""


class ClaimedRun:
    """One run, from its start to its end.

    Args:
        address: Host and port of the SuperLink.
        root: Certificates (PEM) that vouch for it; None: those of the system, or plain HTTP.
        insecure: Speak plain HTTP.
        fab: Bundle of the run's app.

    Raises:
        Gone: It cannot be reached.
        TaskError: It does not hand out its server tasks.
    """

    def __init__(self, address: str, root: bytes | None, *, insecure: bool, fab: bytes) -> None:
        self._address, self._root, self._insecure, self._fab = address, root, insecure, fab
        self._over = threading.Event()
        self._client: Any = None
        self.run = self._claimed()
        self._activate()
        threading.Thread(target=self._beat, daemon=True).start()

    def _claimed(self) -> int:
        """Return the run of a server task of our app that is this process's now."""
        started: list[int] = []
        with contextlib.closing(self._speaker("superexec")) as speaker:
            for _ in range(_STARTS):
                ends = time.monotonic() + _EACH
                while time.monotonic() < ends:
                    waiting.check()
                    if (run := self._acquired(speaker)) is not None:
                        return run
                    if not started:  # one that a controller left is as good
                        started.append(self._start())
                        continue
                    time.sleep(0.2)
                started.append(self._start())
        for run in started:
            self.stop(run)
        raise TaskError(
            f"the SuperLink at {self._address} starts server programs by itself",
            hint=f"flower-superlink --isolation process … at {self._address}",
        )

    def _acquired(self, speaker: Any) -> int | None:
        from aeros_flower.system.flower_internals import (
            AcquireTaskRequest,
            PushTaskOutputRequest,
            TaskType,
        )

        wanted = AcquireTaskRequest(supported_task_types=[TaskType.SERVER_APP])
        found = self._heard(speaker, "AcquireTask", wanted)
        if not found.token:
            return None
        self._client = self._speaker("flwr-serverapp", found.token)
        if found.task.fab_hash == hashlib.sha256(self._fab).hexdigest():
            return int(found.task.run_id)
        why = "aeros took this run's task: give other apps a SuperLink of their own"
        self.ask("PushTaskOutput", PushTaskOutputRequest(sub_status="failed", details=why))
        self._client.close()
        return None

    def _activate(self) -> None:
        from aeros_flower.system.flower_internals import (
            SUPERLINK_NODE_ID,
            Node,
            PullTaskInputRequest,
            TaskIdentity,
        )

        found = self.ask("PullTaskInput", PullTaskInputRequest())
        TaskIdentity.run_id, TaskIdentity.task_id = self.run, found.task_id
        TaskIdentity.node_id = SUPERLINK_NODE_ID
        self.node = Node(node_id=SUPERLINK_NODE_ID)

    def _beat(self) -> None:
        from aeros_flower.system.flower_internals import SendTaskHeartbeatRequest

        while not self._over.wait(_BEAT):
            with contextlib.suppress(SessionLost):  # the next question finds out
                self.ask("SendTaskHeartbeat", SendTaskHeartbeatRequest())

    # ------------------------------------------------------------ speaking

    def ask(self, method: str, request: Any) -> Any:
        """Ask the SuperLink as the server of this run.

        Raises:
            Gone: It does not answer, or not to this run.
        """
        return self._heard(self._client, method, request)

    def send(self, session: str, parts: dict[str, Any], wanted: set[str]) -> None:
        """Send objects of a message; see `objects.send`."""
        objects.send(self.ask, self.node, self.run, session, parts, wanted)

    def fetch(self, tree: Any) -> Any:
        """Fetch a message; see `objects.fetch`."""
        return objects.fetch(self.ask, self.node, self.run, tree)

    def _start(self) -> int:
        """Start a run of our app, as ``flwr run`` does."""
        from aeros_flower.system.flower_internals import Fab, StartRunRequest, fab_to_proto

        fab = Fab(hashlib.sha256(self._fab).hexdigest(), self._fab, {})
        with contextlib.closing(self._controller()) as client:
            found = self._heard(client, "StartRun", StartRunRequest(fab=fab_to_proto(fab)))
        return int(found.run_id)

    def stop(self, run: int) -> None:
        """Stop a run, if the SuperLink is there and knows it."""
        from aeros_flower.system.flower_internals import StopRunRequest

        with contextlib.closing(self._controller()) as client, contextlib.suppress(SessionLost):
            self._heard(client, "StopRun", StopRunRequest(run_id=run))

    def _controller(self) -> Any:
        from aeros_flower.system.flower_internals import (
            ControlHttpClient,
            RuntimeVersionHttpInterceptor,
        )

        return ControlHttpClient.from_server_address(
            self._address, self._insecure, self._root,
            interceptors=[Same(), RuntimeVersionHttpInterceptor(component_name="flwr CLI")],
        )  # fmt: skip

    def _speaker(self, component: str, token: str = "") -> Any:
        from aeros_flower.system.flower_internals import (
            RuntimeHttpClient,
            RuntimeTokenHttpInterceptor,
            RuntimeVersionHttpInterceptor,
        )

        added: list[Any] = [Same(), RuntimeVersionHttpInterceptor(component_name=component)]
        added += [RuntimeTokenHttpInterceptor(token=token)] if token else []
        return RuntimeHttpClient.from_server_address(
            self._address, self._insecure, self._root, interceptors=added
        )

    def _heard(self, client: Any, method: str, request: Any) -> Any:
        import httpx

        left = _TRIES if method in _AGAIN else 1
        while True:
            left -= 1
            try:
                return waiting.apart(lambda: getattr(client, method)(request))
            except httpx.HTTPStatusError as error:
                raise SessionLost(answered(error.response.status_code, method)) from error
            except (httpx.HTTPError, OSError, ValueError) as error:
                if not left or self._over.wait(0.5):
                    raise SessionLost(f"{type(error).__name__}: {error}") from error

    def abandon(self) -> None:
        """Let go of a run that is lost."""
        self._over.set()
        self._client.close()

    def close(self) -> None:
        """End the run, if the SuperLink is still there."""
        from aeros_flower.system.flower_internals import PushTaskOutputRequest

        with contextlib.suppress(SessionLost):
            self.ask("PushTaskOutput", PushTaskOutputRequest(sub_status="completed", details=""))
        self.abandon()

"""The controller's side of Flower: a SuperLink within this process."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import threading
from base64 import b64decode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from aeros_core.tasks.round_counters import Refusal
from aeros_flower.http.long_polling import App, LongPolling
from aeros_flower.http.server import HttpServer
from aeros_flower.protocol import objects
from aeros_flower.system import memory
from aeros_flower.system.versions import tried

__all__ = ["SAME_KEY", "EmbeddedSuperLink", "PulledMessages", "quiet"]

_BEAT = 10.0
"""Seconds between signs of life of the run; Flower gives it up after 60."""


def quiet() -> None:
    """Keep Flower from calling home, installing packages, and writing to the terminal."""
    os.environ.update(
        FLWR_TELEMETRY_ENABLED="0",
        FLWR_DISABLE_UPDATE_CHECK="1",
        FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION="1",
        RAY_USAGE_STATS_ENABLED="0",
    )
    with contextlib.suppress(ImportError):  # other versions have it elsewhere
        from aeros_flower.system.flower_internals import FLOWER_LOGGER  # noqa: F401 - sets levels: comes first

    for name in ("flwr", "uvicorn", "uvicorn.error", "httpx"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


SAME_KEY = Refusal(
    "same key",
    "another executor came with its key while it was there (or it was killed, and started again"
    " before it was missed): two at a time need two keys",
)


@dataclass(frozen=True, slots=True)
class PulledMessages:
    """What came back for a message.

    Args:
        message: Id of the message it answers.
        content: The records; None for an error.
        error: Why there are none.
    """

    message: str
    content: Any = None
    error: str = ""


class EmbeddedSuperLink:
    """A SuperLink, served by a thread, and one run of it that this process drives.

    Its state is in memory: the round that is committed is what counts, and after a crash
    nodes come back by themselves.

    Args:
        door: Where to listen; see `server.listen`.
        certificate: Files of certificate and key (PEM); None: no TLS.
        wrap: What stands in front of the SuperLink: called with its application.
        fab: Bundle of the app that stock SuperNodes run; None: there are only executors.

    Raises:
        ConfigError: Another version of flwr is installed.
    """

    def __init__(
        self,
        door: socket.socket,
        certificate: tuple[str, str] | None = None,
        wrap: Callable[[App], App] | None = None,
        fab: bytes | None = None,
    ) -> None:
        tried()
        quiet()
        from aeros_flower.system.flower_internals import create_app

        app = create_app()
        self._state, self._fab = app.state.linkstate_factory.state(), fab
        self.bell = LongPolling(app)
        self._port = HttpServer(self.bell if wrap is None else wrap(self.bell), door, certificate)
        self._objects: dict[str, Any] = {}
        self._names: dict[int, str] = {}
        self._since: dict[int, str | None] = {}
        self._begin()
        self._port.wait()
        memory.settle()

    @property
    def address(self) -> str:
        """Host and port it listens on."""
        return self._port.address

    def _begin(self) -> None:
        """Open a run and claim its server task, as Flower's own server process would."""
        from aeros_flower.system.flower_internals import (
            NOOP_FEDERATION_ID,
            SUPERLINK_NODE_ID,
            Fab,
            TaskIdentity,
            TaskType,
        )

        state = self._state
        named, numbered, stored = "aeros/task", "1.0.0", None
        if self._fab:
            from aeros_flower.system.flower_internals import get_fab_metadata

            named, numbered = get_fab_metadata(self._fab)
            stored = state.store_fab(Fab("", self._fab, {}))
        self._run = state.create_run(
            named, numbered, stored, {}, NOOP_FEDERATION_ID, None, None, TaskType.SERVER_APP
        )
        self._task = state.get_run_info(run_ids=[self._run])[0].primary_task_id
        if not (state.claim_task(self._task) and state.activate_task(self._task)):
            raise RuntimeError("the SuperLink did not let its own process have the run")
        TaskIdentity.run_id, TaskIdentity.task_id = self._run, self._task
        TaskIdentity.node_id = SUPERLINK_NODE_ID
        self._over = threading.Event()
        told = (self._over, self._task)
        threading.Thread(target=self._beat, args=told, daemon=True).start()

    def _beat(self, over: threading.Event, task: int) -> None:
        while not over.wait(_BEAT):
            self._state.acknowledge_task_heartbeat(task)

    def renew(self, fab: bytes | None = None) -> None:
        """End the run, and begin another: nodes stay, unless they still work for the old one.

        Args:
            fab: Bundle of the app that stock SuperNodes run.
        """
        self._over.set()
        kept = self._state.message_ins_store.values()
        busy = [m.metadata.dst_node_id for m in kept if m.metadata.delivered_at]
        for node in self._state.get_node_info(node_ids=sorted(set(busy))):
            with contextlib.suppress(ValueError):  # it has gone by itself
                self._state.delete_node(node.owner_aid, node.node_id)
        self._state.stop_run(self._run)
        self._objects.clear()
        self._fab = fab
        self._begin()

    def enrol(self, key: bytes, name: str) -> None:
        """Make a node known by its public key (PEM), before its first request."""
        if self._state.get_node_id_by_public_key(key) is None:
            with contextlib.suppress(ValueError):  # it came in between
                self._state.create_node("", name, key, 0)
        if (number := self._state.get_node_id_by_public_key(key)) is not None:
            self._names[number] = name

    def expel(self, key: bytes) -> str:
        """Let go of a node whose key was taken away, for as long as it is; return its name."""
        number = self._state.get_node_id_by_public_key(key)
        if number is not None and self._state.deactivate_node(number):
            self.bell.came.set()
        return self._names.get(number or 0, "")

    def admitted(self, number: int) -> str:
        """Return the name under which a node's key was admitted; empty: it has none."""
        return self._names.get(number, "")

    def nodes(self) -> set[int]:
        """Return the numbers of all nodes that are there now.

        One with a key keeps its number when it is killed and comes again: it is left out once,
        so that everything on its way to the process before is sent again.
        """
        there = set(self._state.get_nodes(self._run))
        keyed = sorted(there & self._names.keys())
        before, found = self._since, self._state.get_node_info(node_ids=keyed) if keyed else ()
        self._since = {node.node_id: node.last_activated_at for node in found}
        return there - {n for n, at in self._since.items() if before.get(n, at) != at}

    def refusals(self) -> list[tuple[str, Refusal]]:
        """Return who came with the key of a node that is there, since the last call."""
        found: list[tuple[str, Refusal]] = []
        for key in list(self.bell.taken):
            times = self.bell.taken.pop(key)
            number = self._state.get_node_id_by_public_key(b64decode(key))
            if name := self._names.get(number or 0):
                found += [(name, SAME_KEY)] * times
        return found

    def executors(self) -> set[int]:
        """Return the numbers of those that are known to be executors of aeros."""
        return set(self.bell.patient)

    def push(
        self, node: int, content: Any, seconds: float | None = None, kind: str = "train.aeros"
    ) -> str | None:
        """Send a message to a node.

        Args:
            node: Its number.
            content: The records.
            seconds: After which it is not delivered any more; None: half a day.
            kind: Flower's type of the message.

        Returns:
            The message's id; None where the node is not known (any more).
        """
        from flwr.app import Message

        state, message = self._state, Message(content, node, kind, ttl=seconds)
        with objects.apart(message) as (bare, parts, tree):
            session = state.start_session(self._run)
            stored, missing = state.store_message_and_object_tree(bare, tree, session)
            if not stored:
                return None
            for found in missing:
                state.store_object(self._run, session, found, parts[found].deflate())
        self.bell.ring(node)
        return str(message.metadata.message_id)

    def pull(self, messages: Iterable[str], most: int = 1) -> list[PulledMessages]:
        """Return up to ``most`` answers to these messages that are here in full."""
        asked = set(messages)
        fresh = self._state.get_message_res(message_ids=set(asked), run_id=self._run)
        for reply in fresh:
            self._objects[reply.metadata.reply_to_message_id] = reply
        answers = []
        for message in [m for m in self._objects if m in asked]:
            answer = self._answer(message, self._objects[message])
            if answer is not None:
                del self._objects[message]
                self._state.delete_messages(message_ins_ids={message})
                answers.append(answer)
            if len(answers) == most:
                break
        return answers

    def _answer(self, message: str, reply: Any) -> PulledMessages | None:
        """Return a reply once all its objects are here; None before."""
        from aeros_flower.system.flower_internals import NoObjectInStoreError, iterate_object_tree

        if reply.has_error():
            return PulledMessages(message, error=f"error {reply.error.code}: {reply.error.reason}")
        store, found = self._state.object_store, reply.metadata.message_id
        try:
            ids = [tree.object_id for tree in iterate_object_tree(store.get_object_tree(found))]
            contents = {i: self._state.get_object(self._run, i) for i in ids}
        except NoObjectInStoreError:
            return PulledMessages(message, error="its upload was not finished in time")
        if any(content is None for content in contents.values()):
            return PulledMessages(message, error="its upload was not finished in time")
        if any(content == b"" for content in contents.values()):
            return None
        store.delete(found)  # first: what is put together is let go of on the way
        try:
            whole = objects.whole(found, contents)
        except Exception as error:
            return PulledMessages(
                message, error=f"what it sent is none of Flower's records: {error}"
            )
        return PulledMessages(message, whole.content)

    def recall(self, messages: Iterable[str]) -> list[str]:
        """Take back those messages that their node has not asked for yet, and return them."""
        kept = self._state.message_ins_store
        back = [m for m in messages if m in kept and not kept[m].metadata.delivered_at]
        self.drop(back)
        return back

    def drop(self, messages: Sequence[str]) -> None:
        """Forget messages, and whatever answers them."""
        for message in messages:
            reply = self._objects.pop(message, None)
            if reply is not None:
                self._state.object_store.delete(reply.metadata.message_id)
            self._state.object_store.delete(message)
        self._state.delete_messages(message_ins_ids=set(messages))

    def wait(self, seconds: float) -> bool:
        """Wait until a node has come, gone, or brought something; false once it is over."""
        came = self.bell.came.wait(max(seconds, 0))
        self.bell.came.clear()
        return came

    def close(self) -> None:
        """End the run, and stop listening."""
        self._over.set()
        self._state.finish_task(self._task, "completed", "")
        self._port.close()

    abandon = close

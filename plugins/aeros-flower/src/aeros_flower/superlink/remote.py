"""Messages over a SuperLink elsewhere, as ``flower-superlink --isolation process`` starts it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from aeros_core.errors import ConfigError
from aeros_flower.protocol import objects
from aeros_flower.security import probe
from aeros_flower.superlink.embedded import PulledMessages, quiet
from aeros_flower.superlink.resilient_session import TICK, ResilientSession, Session, SessionLost
from aeros_flower.superlink.run_claim import ClaimedRun
from aeros_flower.system.versions import tried

__all__ = ["superlink"]


def superlink(
    address: str,
    ca: Path | None,
    *,
    insecure: bool,
    fab: bytes,
    wait: float,
    tell: Callable[[str], None],
) -> ResilientSession:
    """Return a line over a SuperLink elsewhere.

    Args:
        address: ``HOST:PORT``.
        ca: Certificate of the CA that vouches for it; None: those of this system.
        insecure: Speak plain HTTP.
        fab: Bundle of the app that stock SuperNodes run.
        wait: Seconds to wait for it, at the start and whenever it is lost.
        tell: Hears when it is lost and when it is back.

    Raises:
        ConfigError: It is not to be trusted, or another version of Flower is involved.
        TaskError: It does not answer in time, or runs server programs by itself.
    """
    tried()
    quiet()
    root = probe.authority(ca) if ca and not insecure else None

    def begin(before: Session | None) -> Session | None:
        if why := probe.greet(address, ca, insecure=insecure, seconds=2.0):
            raise SessionLost(why)
        if insecure and probe.is_stranger(address):
            raise ConfigError(
                f"who answers at {address} speaks HTTP, and is no SuperLink",
                hint="controller.superlink=HOST:PORT of one, started with flower-superlink"
                " --isolation process; or leave it out: aeros run then listens itself",
            )
        made = _Claimed(ClaimedRun(address, root, insecure=insecure, fab=fab))
        if isinstance(before, _Claimed):
            made.claim.stop(before.claim.run)
        return made

    return ResilientSession(address, begin, wait, tell)


class _Claimed:
    """One run there (`resilient_session.Session`)."""

    def __init__(self, claim: ClaimedRun) -> None:
        self.claim = claim
        self._bare: dict[str, tuple[Any, Any]] = {}

    def nodes(self) -> set[int]:
        from aeros_flower.system.flower_internals import GetNodesRequest

        return {int(node.node_id) for node in self.claim.ask("GetNodes", GetNodesRequest()).nodes}

    def executors(self) -> set[int]:  # a stock SuperLink does not tell them apart
        return set()

    def push(self, node: int, content: Any, seconds: float | None, kind: str) -> str | None:
        from flwr.app import Message

        from aeros_flower.system.flower_internals import PushAppMessagesRequest, message_to_proto

        message = Message(content, node, kind, ttl=seconds)
        with objects.apart(message) as (bare, parts, tree):
            asked = PushAppMessagesRequest(
                messages_list=[message_to_proto(bare)], message_object_trees=[tree]
            )
            found = self.claim.ask("PushMessages", asked)
            try:
                self.claim.send(found.session_id, parts, set(found.objects_to_push))
            except objects.Broken as error:
                raise SessionLost(str(error)) from error
        return str(found.message_ids[0]) or None

    def pull(self, messages: set[str], most: int) -> list[PulledMessages]:
        if fresh := messages - self._bare.keys():
            self._hear(fresh)
        ready = [message for message in self._bare if message in messages][:most]
        return [self._answer(message, *self._bare.pop(message)) for message in ready]

    def _hear(self, messages: set[str]) -> None:
        """Note the replies that are here, without their content, and the trees of that."""
        from aeros_flower.system.flower_internals import PullAppMessagesRequest, message_from_proto

        asked = PullAppMessagesRequest(message_ids=sorted(messages))
        found = self.claim.ask("PullMessages", asked)
        for told, tree in zip(found.messages_list, found.message_object_trees, strict=True):
            reply = message_from_proto(told)
            self._bare[reply.metadata.reply_to_message_id] = (reply, tree)

    def _answer(self, message: str, reply: Any, tree: Any) -> PulledMessages:
        from aeros_flower.system.flower_internals import ConfirmMessageReceivedRequest

        if reply.has_error():
            return PulledMessages(message, error=f"error {reply.error.code}: {reply.error.reason}")
        try:
            content = self.claim.fetch(tree).content
        except objects.Broken:
            return PulledMessages(message, error="its upload was not finished in time")
        except ValueError as error:
            return PulledMessages(
                message, error=f"what it sent is none of Flower's records: {error}"
            )
        confirmed = ConfirmMessageReceivedRequest(
            node=self.claim.node, run_id=self.claim.run, message_object_id=tree.object_id
        )
        self.claim.ask("ConfirmMessageReceived", confirmed)
        return PulledMessages(message, content)

    def recall(self, messages: Iterable[str]) -> list[str]:  # noqa: ARG002 - it takes none back
        return []

    def wait(self, seconds: float) -> bool:
        time.sleep(min(seconds, TICK))
        return True

    def abandon(self) -> None:
        self.claim.abandon()

    def close(self) -> None:
        self.claim.close()

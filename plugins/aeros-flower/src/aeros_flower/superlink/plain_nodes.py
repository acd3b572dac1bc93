"""Plain Flower nodes as executors: third-party ClientApps that know nothing of aeros."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from aeros_core.messages import Failure, Instruction, Reply
from aeros_core.schema import Schema
from aeros_core.tasks.infrastructure import InfrastructureElement
from aeros_flower.protocol import flower_records, messages
from aeros_flower.protocol.message_content import WireError, kind_of
from aeros_flower.superlink.embedded import PulledMessages

__all__ = ["PlainTransport", "aside"]

_EXECUTOR = "it is an aeros executor, and controller.app is run by flower-supernode"

_SHY = 1.0
"""Seconds after which a node that has not shown itself to be an executor is taken for Flower's."""

_RAISED = "error 2:"
"""How an answer begins where the app itself raised an error, which it would do again."""


class PlainNode(Protocol):
    """What is needed of `embedded.EmbeddedSuperLink`."""

    def nodes(self) -> set[int]:
        """See `executors.Post`."""

    def executors(self) -> set[int]:
        """Return the numbers of those that are known to be executors of aeros; others may be."""

    def push(
        self, node: int, content: Any, seconds: float | None = None, kind: str = "train.aeros"
    ) -> str | None:
        """See `executors.Post`; ``kind`` is Flower's type of the message."""

    def pull(self, messages: Iterable[str], most: int = 1) -> list[PulledMessages]:
        """See `executors.Post`."""

    def recall(self, messages: Iterable[str]) -> list[str]:
        """See `executors.Post`."""

    def wait(self, seconds: float) -> bool:
        """See `executors.Post`."""


class PlainTransport:
    """Speaks Flower's own dialect outwards, and that of aeros inwards (`executors.Post`).

    Each node is one client with data of its own, called ``flower-<its number>``. It is not
    asked what it has: that its arrays fit is found out at its first update. An executor of
    aeros is told that it is not asked, where the line knows it for one.

    Args:
        line: Where messages go.
        schema: Schema of the task's data, which a node is taken to have.
        config: What each message says beside round, seed and the rule's numbers.
    """

    def __init__(
        self, line: PlainNode, schema: Schema, config: Mapping[str, Any] | None = None
    ) -> None:
        self._line, self._schema, self._config = line, schema, config
        self._since: dict[int, float] = {}
        self._asked: dict[str, Instruction] = {}
        self._strangers: dict[str, int] = {}
        self._said: dict[str, PulledMessages] = {}

    def nodes(self) -> set[int]:
        """Return the numbers of the nodes that are there now, and are known for what they are."""
        there, now, known = self._line.nodes(), time.monotonic(), self._line.executors()
        self._since = {node: self._since.get(node, now) for node in there}
        return {node for node in there if node in known or now - self._since[node] >= _SHY}

    def push(self, node: int, content: Any, seconds: float | None = None) -> str | None:
        """Send an instruction in Flower's dialect; what a node is asked of itself stays here."""
        if kind_of(content) == "prepare":
            return self._prepare(node, seconds)
        if kind_of(content) == "refused":
            return None  # an executor was told by `_prepare`, others know no such message
        told = messages.unpack_instructions(content)
        if len(told) != 1:
            raise ValueError(f"{len(told)} clients behind a node that is one")
        try:
            packed = flower_records.pack(told[0], self._config)
        except flower_records.UnexpectedRecord as error:
            return self._fail(node, told[0], str(error))
        found = self._line.push(node, packed, seconds, told[0].action.value)
        if found is not None:
            self._asked[found] = told[0]
        return found

    def pull(self, messages: Iterable[str], most: int = 1) -> list[PulledMessages]:
        """Return answers that are here, in the dialect of aeros."""
        wanted = list(messages)
        said = [message for message in wanted if message in self._said][:most]
        found = [self._said.pop(message) for message in said]
        left = [m for m in wanted if m in self._asked or m in self._strangers]
        if left and len(found) < most:
            found += map(self._translated, self._line.pull(left, most - len(found)))
        return found

    def recall(self, messages: Iterable[str]) -> list[str]:
        """Take back what was not asked for yet."""
        back = self._line.recall([m for m in messages if m in self._asked])
        for message in back:
            del self._asked[message]
        return back

    def wait(self, seconds: float) -> bool:
        """Wait until something has come."""
        return self._line.wait(seconds)

    def _translated(self, answer: PulledMessages) -> PulledMessages:
        if (node := self._strangers.pop(answer.message, None)) is not None:
            return _heard(node, answer)
        told = self._asked.pop(answer.message)
        reply: Reply
        if not answer.error and _is_ours(answer.content):
            reply = Failure(told.node, told.round, _EXECUTOR)
        elif not answer.error:
            reply = flower_records.unpack(answer.content, told)
        elif answer.error.startswith(_RAISED):
            reply = Failure(told.node, told.round, answer.error)
        else:
            return answer
        return PulledMessages(answer.message, messages.pack_replies([reply]))

    def _fail(self, node: int, told: Instruction, why: str) -> str:
        message = f"failed {node} {told.round}"
        failure = Failure(told.node, told.round, why)
        self._said[message] = PulledMessages(message, messages.pack_replies([failure]))
        return message

    def _prepare(self, node: int, seconds: float | None) -> str | None:
        """Say what is known of a node, or ask an executor for its name."""
        if node in self._line.executors():
            note = messages.pack_note("refused", {"reason": _EXECUTOR})
            asked = self._line.push(node, note, seconds)
            if asked is not None:
                self._strangers[asked] = node
            return asked
        message = f"prepare {node}"
        self._said[message] = PulledMessages(message, self._prepared(node))
        return message

    def _prepared(self, node: int) -> Any:
        told = _unknown(f"flower-{node}") | {"plain": True, "schema": self._schema.to_json()}
        return messages.pack_note("prepared", told)


def aside(told: Mapping[str, Any]) -> str:
    """Return why a node is not asked in Flower's dialect, by what it says of itself."""
    return "" if told.get("plain") else _EXECUTOR


def _unknown(name: str) -> dict[str, Any]:
    """Return what is said of a node of which nothing but its name is known."""
    element = InfrastructureElement(name, None, None, None, None)
    about = {"own": True, "examples": 0, "versions": {}, "error": ""}
    return {"name": name, "element": asdict(element), **about}


def _heard(node: int, answer: PulledMessages) -> PulledMessages:
    """Return what an executor that is not asked says of itself: its name."""
    name = f"node {node}"
    if not answer.error and _is_ours(answer.content) and kind_of(answer.content) == "heard":
        name = str(messages.unpack_note(answer.content, "heard").get("name"))
    return PulledMessages(
        answer.message, messages.pack_note("prepared", _unknown(name)), answer.error
    )


def _is_ours(content: Any) -> bool:
    """Tell whether an answer is in the dialect of aeros."""
    try:
        return bool(kind_of(content))
    except WireError:
        return False

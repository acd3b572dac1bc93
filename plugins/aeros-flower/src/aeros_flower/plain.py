"""Plain Flower nodes as executors: third-party ClientApps that know nothing of aeros."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from aeros_core import elements
from aeros_core.elements import Description
from aeros_core.messages import Failure, Instruction
from aeros_core.schema import Schema
from aeros_flower import dialect, wire
from aeros_flower.link import Answer
from aeros_flower.parcel import kind_of

__all__ = ["PlainPost"]

_RAISED = "error 2:"
"""How an answer begins where the app itself raised an error, which it would do again."""


class Line(Protocol):
    """What is needed of `link.Link`."""

    def nodes(self) -> set[int]:
        """See `roster.Post`."""

    def push(
        self, node: int, content: Any, seconds: float | None = None, kind: str = ""
    ) -> str | None:
        """See `roster.Post`; ``kind`` is Flower's type of the message."""

    def pull(self, messages: Iterable[str], most: int = 1) -> list[Answer]:
        """See `roster.Post`."""

    def recall(self, messages: Iterable[str]) -> list[str]:
        """See `roster.Post`."""

    def wait(self, seconds: float) -> bool:
        """See `roster.Post`."""


class PlainPost:
    """Speaks Flower's own dialect outwards, and that of aeros inwards (`roster.Post`).

    Each node is one client with data of its own, called ``flower-<its number>``. It is not
    asked what it has: that its arrays fit is found out at its first update.

    Args:
        line: Where messages go.
        schema: Schema of the task's data, which a node is taken to have.
        versions: Versions that the task needs, which a node is taken to have.
    """

    def __init__(self, line: Line, schema: Schema, versions: Mapping[str, str]) -> None:
        self._line, self._schema, self._versions = line, schema, versions
        self._asked: dict[str, Instruction] = {}
        self._said: dict[str, Answer] = {}

    def nodes(self) -> set[int]:
        """Return the numbers of all nodes that are there now."""
        return self._line.nodes()

    def push(self, node: int, content: Any, seconds: float | None = None) -> str | None:
        """Send an instruction in Flower's dialect; what a node is asked of itself stays here."""
        if kind_of(content) == "prepare":
            message = f"prepare {node}"
            self._said[message] = Answer(message, self._prepared(node))
            return message
        told = wire.unpack_instructions(content)
        if len(told) != 1:
            raise ValueError(f"{len(told)} clients behind a node that is one")
        try:
            packed = dialect.pack(told[0])
        except dialect.Odd as error:
            return self._fail(node, told[0], str(error))
        found = self._line.push(node, packed, seconds, told[0].action.value)
        if found is not None:
            self._asked[found] = told[0]
        return found

    def pull(self, messages: Iterable[str], most: int = 1) -> list[Answer]:
        """Return answers that are here, in the dialect of aeros."""
        wanted = list(messages)
        said = [message for message in wanted if message in self._said][:most]
        found = [self._said.pop(message) for message in said]
        left = [message for message in wanted if message in self._asked]
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

    def _translated(self, answer: Answer) -> Answer:
        told = self._asked.pop(answer.message)
        if not answer.error:
            reply = dialect.unpack(answer.content, told)
        elif answer.error.startswith(_RAISED):
            reply = Failure(told.node, told.round, answer.error)
        else:
            return answer
        return Answer(answer.message, wire.pack_replies([reply]))

    def _fail(self, node: int, told: Instruction, why: str) -> str:
        message = f"failed {node} {told.round}"
        failure = Failure(told.node, told.round, why)
        self._said[message] = Answer(message, wire.pack_replies([failure]))
        return message

    def _prepared(self, node: int) -> Any:
        told = {
            "name": f"flower-{node}",
            "own": True,
            "examples": 0,
            "versions": dict(self._versions),
            "element": asdict(elements.this_machine(Description())),
            "schema": self._schema.to_json(),
            "error": "",
        }
        return wire.pack_note("prepared", told)

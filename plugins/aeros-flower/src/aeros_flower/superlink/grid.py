"""Messages over Flower's public Grid, as Flower hands it to a ServerApp."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from aeros_flower.superlink.embedded import PulledMessages

if TYPE_CHECKING:
    from flwr.serverapp import Grid

__all__ = ["GridTransport"]

_TICK = 0.01
"""Seconds between two looks for answers; the engine does not tell when there is one."""


class GridTransport:
    """Messages over Flower's public Grid (`executors.Post`).

    Args:
        grid: What Flower hands to a ServerApp.
        tick: Seconds between two looks for answers, at most.
    """

    def __init__(self, grid: Grid, tick: float = _TICK) -> None:
        self._grid, self._tick = grid, tick
        self._here: dict[str, PulledMessages] = {}

    def nodes(self) -> set[int]:
        """Return the numbers of all nodes."""
        return set(self._grid.get_node_ids())

    def executors(self) -> set[int]:
        """Return none: Flower's Grid does not tell them apart."""
        return set()

    def push(
        self, node: int, content: Any, seconds: float | None = None, kind: str = "train.aeros"
    ) -> str | None:
        """Send a message; ``kind`` is Flower's type of it."""
        from flwr.app import Message

        message = Message(content, node, kind, ttl=seconds)
        return next(iter(self._grid.push_messages([message])), None) or None

    def pull(self, messages: Iterable[str], most: int = 1) -> list[PulledMessages]:
        """Return answers that are here."""
        wanted = list(messages)
        asked = [message for message in wanted if message not in self._here]
        for reply in self._grid.pull_messages(asked) if asked else ():
            asked_by = reply.metadata.reply_to_message_id
            if reply.has_error():
                why = f"error {reply.error.code}: {reply.error.reason}"
                self._here[asked_by] = PulledMessages(asked_by, error=why)
            else:
                self._here[asked_by] = PulledMessages(asked_by, reply.content)
        ready = [message for message in wanted if message in self._here][:most]
        return [self._here.pop(message) for message in ready]

    def recall(self, messages: Iterable[str]) -> list[str]:  # noqa: ARG002 - nothing comes back
        """Return nothing: the engine takes no message back."""
        return []

    def wait(self, seconds: float) -> bool:
        """Wait a moment."""
        time.sleep(min(max(seconds, 0), self._tick))
        return True

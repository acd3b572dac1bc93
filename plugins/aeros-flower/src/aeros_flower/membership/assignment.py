"""Which executor each client is served by."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from aeros_core.messages import Instruction
from aeros_flower.membership.executors import ConnectedExecutor

__all__ = ["ClientAssignment", "Queued", "overdue", "to_owners"]


def _now() -> float:
    return time.monotonic()


@dataclass(slots=True)
class Queued:
    """An instruction that waits to be sent."""

    told: Instruction
    attempt: int = 0
    since: float = field(default_factory=_now)


class ClientAssignment:
    """Deals clients out to executors, and remembers who has whom.

    Args:
        keeps: Whether every client keeps something with its executor, such as what a codec
            could not send. Otherwise only those do that an instruction says it of.
        patience: Seconds that a client which keeps something waits for its executor, before
            another takes it over, without what it kept.
    """

    def __init__(self, keeps: bool, patience: float) -> None:
        self._keeps, self._patience = keeps, patience
        self._homes: dict[str, str] = {}

    def to_json(self) -> str:
        """Return who has whom."""
        return json.dumps(self._homes, sort_keys=True)

    def restore(self, told: str) -> None:
        """Take up what `to_json` returned."""
        self._homes = json.loads(told)

    def deal(
        self, batch: Sequence[Queued], members: Sequence[ConnectedExecutor]
    ) -> tuple[dict[str, list[Queued]], list[Queued]]:
        """Deal out: to a client's own executor, to the one it was with, or evenly.

        Returns:
            The hand of each executor, by its name, and the clients that wait for theirs.
        """
        named = {member.name: member for member in members}
        hands: dict[str, list[Queued]] = {name: [] for name in named}
        open_to = [m.name for m in members if not m.own] or list(named)
        share = -(-len(batch) // len(open_to))
        homeless, waiting = [], []
        for queued in batch:
            home = self._of(queued.told.node, named)
            stays = self._keeps or queued.told.personal
            if home in hands and (stays or named[home].own or len(hands[home]) < share):
                hands[home].append(queued)
            elif home and stays and time.monotonic() - queued.since < self._patience:
                waiting.append(queued)
            else:
                homeless.append(queued)
        for queued in homeless:
            home = min(open_to, key=lambda name: len(hands[name]))
            self._homes[queued.told.node] = home
            hands[home].append(queued)
        return {name: hand for name, hand in hands.items() if hand}, waiting

    def _of(self, client: str, named: dict[str, ConnectedExecutor]) -> str | None:
        return client if client in named else self._homes.get(client)


def to_owners(
    batch: Sequence[Queued], members: Sequence[ConnectedExecutor]
) -> tuple[dict[str, list[Queued]], list[Queued]]:
    """Deal out to executors that have data of their own: each client has one, and no other.

    Returns:
        The hand of each executor, by its name, and the clients that wait for theirs.
    """
    hands: dict[str, list[Queued]] = {member.name: [] for member in members}
    waiting: list[Queued] = []
    for queued in batch:
        hands.get(queued.told.node, waiting).append(queued)
    return {name: hand for name, hand in hands.items() if hand}, waiting


def overdue(
    queue: Iterable[Queued], here: Collection[str], limit: float
) -> tuple[deque[Queued], list[Instruction]]:
    """Return what may go on waiting for its executor, and what has waited too long.

    Args:
        queue: What waits.
        here: Names of the executors that are there.
        limit: Seconds.
    """
    now, kept, gone = time.monotonic(), deque[Queued](), list[Instruction]()
    for queued in queue:
        if queued.told.node in here or now - queued.since <= limit:
            kept.append(queued)
        else:
            gone.append(queued.told)
    return kept, gone

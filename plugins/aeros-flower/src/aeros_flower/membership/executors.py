"""The executors that are there, and what each said of itself."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from aeros_core.roles.nodes import SupportsRefusals
from aeros_core.tasks.round_counters import shown
from aeros_core.tasks.waiting import MINUTE
from aeros_flower.membership.backoff import Backoff
from aeros_flower.membership.connected_executor import ConnectedExecutor, introduced
from aeros_flower.protocol import messages
from aeros_flower.protocol.message_content import WireError
from aeros_flower.protocol.replies import Refused
from aeros_flower.superlink.embedded import PulledMessages

__all__ = ["UNNAMED", "ConnectedExecutor", "Executors", "Post"]

_PREPARES = 600.0
"""Seconds that an executor may take to load its data before nobody waits for it any more."""

_KEPT, _OFTEN = 1000, 10
"""Reasons that are kept, at most, and how often a line is said before it is once a minute."""

_NAMES = "two at a time need two names"

_MOST = 10_000
"""Refusals that are kept until a round asks for them."""

UNNAMED = "flower-"
"""What names begin with that Flower's own nodes are given; their keys' names are better."""


class Post(Protocol):
    """What the controller's side needs of `embedded.EmbeddedSuperLink`."""

    def nodes(self) -> set[int]:
        """Return the numbers of all nodes that are there now."""

    def push(self, node: int, content: Any, seconds: float | None = None) -> str | None:
        """Send a message; returns its id, or None."""

    def pull(self, messages: Iterable[str], most: int = 1) -> list[PulledMessages]:
        """Return answers that are here."""

    def recall(self, messages: Iterable[str]) -> list[str]:
        """Take back what was not asked for yet."""

    def wait(self, seconds: float) -> bool:
        """Wait until something has come."""


class Executors:
    """Keeps the list of executors: asks each that comes, and forgets those that go.

    Args:
        post: Where messages go.
        preparing: What each is asked.
        judge: Returns why an executor cannot take part; empty if it can.
        tell: Hears of those who come, go, or cannot take part.
        choose: Returns why an executor is not among those that are asked; empty if it is.
        admitted: Returns the name under which the key of a node was admitted; empty where
            nodes have no keys.
    """

    def __init__(
        self,
        post: Post,
        preparing: Any,
        judge: Callable[[ConnectedExecutor], str],
        tell: Callable[[str], None],
        choose: Callable[[ConnectedExecutor], str] = lambda _: "",
        admitted: Callable[[int], str] = lambda _: "",
    ) -> None:
        self._choose, self._admitted = choose, admitted
        self._post, self._preparing, self._judge, self.tell = post, preparing, judge, tell
        self._asked: dict[str, int] = {}
        self._refused: dict[str, int] = {}
        self._known: set[int] = set()
        self._welcomed: set[str] = set()
        self._since: dict[int, float] = {}
        self._rests: dict[str, Backoff] = {}
        self.members: dict[int, ConnectedExecutor] = {}
        self._told: dict[str, tuple[int, float]] = {}
        self._said: set[tuple[str, str]] = set()
        self.below: list[Refused] = []
        self.unfit: dict[str, str] = {}
        self.aside: dict[str, str] = {}

    def refresh(self) -> None:
        """Look who has come and gone, and hear what those that were asked have to say."""
        there = self._post.nodes()
        for number in self._known - there:
            self.forget(number)
        for number in there - self._known:
            message = self._post.push(number, self._preparing)
            if message is not None:
                self._asked[message] = number
                self._known.add(number)
                self._since[number] = time.monotonic()
        if self._asked:
            for answer in self._post.pull(self._asked, most=len(self._asked)):
                self._hear(self._asked.pop(answer.message), answer)
        if isinstance(self._post, SupportsRefusals):
            self._note(self._post.refusals())
        if self._refused:  # what they say to it is taken in, so that it is kept nowhere
            for answer in self._post.pull(self._refused, most=len(self._refused)):
                del self._refused[answer.message]

    @property
    def fit(self) -> list[ConnectedExecutor]:
        """Those that may be sent something now, by name; all of them if all rest."""
        return [m for m in self.able if m.rest.over] or self.able

    @property
    def able(self) -> list[ConnectedExecutor]:
        """Those that can take part, by name, whether they rest or not."""
        return sorted((m for m in self.members.values() if not m.problem), key=lambda m: m.name)

    @property
    def preparing(self) -> int:
        """How many have not yet said whether they can take part, and may still do."""
        now = time.monotonic()
        return sum(
            now - self._since.get(number, now) < _PREPARES for number in self._asked.values()
        )

    def _note(self, found: Iterable[Refused]) -> None:
        """Keep what was refused below for the round that asks, and say each kind of it once."""
        for name, refusal in found:
            if (name, refusal.kind) not in self._said:
                self._said.add((name, refusal.kind))
                self.tell(f"executor {name}: {refusal.text}")
            self.below.append((name, refusal))
        del self.below[_MOST:]

    def set_aside(self, member: ConnectedExecutor, why: str) -> None:
        """Leave an executor out from now on, and tell it why."""
        member.problem = self.aside[member.name] = why
        self.tell(f"executor {member.name} stands aside: {why}")
        self._refuse(member.number, why)

    def prepare_later(self, preparing: Any) -> None:
        """Ask those that come from now on something else."""
        self._preparing = preparing

    def prepare_again(self, preparing: Any) -> None:
        """Ask everybody that is there once more, and those that come from now on."""
        self._preparing, self._asked = preparing, {}
        self.unfit.clear()
        for number in sorted(self._known):
            if (message := self._post.push(number, preparing)) is not None:
                self._asked[message] = number
                self._since[number] = time.monotonic()

    def exclude(self, member: ConnectedExecutor, why: str) -> None:
        """Take note that an executor cannot take part after all, and tell it."""
        member.problem = shown(why)
        self._misfit(member.name, member.problem)
        self._refuse(member.number, why)

    def forget(self, number: int) -> None:
        """Take an executor from the list."""
        if gone := self._drop(number):
            self._tell(f"executor {gone.name} is gone")

    def _drop(self, number: int) -> ConnectedExecutor | None:
        self._known.discard(number)
        self._since.pop(number, None)
        gone = self.members.pop(number, None)
        if left := [m for m, n in (self._asked | self._refused).items() if n == number]:
            self._post.recall(left)
        self._welcomed -= {gone.name} if gone else set()
        self._asked = {m: n for m, n in self._asked.items() if n != number}
        self._refused = {m: n for m, n in self._refused.items() if n != number}
        return gone

    def _hear(self, number: int, answer: PulledMessages) -> None:
        if answer.error:
            self._known.discard(number)  # it is asked again if it comes back
            return
        admitted = self._admitted(number)
        try:
            member = introduced(number, answer.content)
        except WireError as error:
            self._misfit(admitted or f"node {number}", _unread(answer.content, error))
            return
        if admitted and member.name.startswith(UNNAMED):
            member.name = admitted
        if admitted not in ("", member.name):
            why = f"it calls itself {member.name}, and its key is that of {admitted}"
            self._misfit(admitted, why, f"{why}, so --name {admitted}")
            self._refuse(number, self.unfit[admitted])
            return
        others = [m for m in self.members.values() if m.name == member.name]
        for other in [m for m in others if m.number != number]:
            self._drop(other.number)  # it came back before it was missed, or is another one
            self._known.add(other.number)
            again = "came again, in place of the one before; two at a time need two names"
            self._tell(f"executor {member.name} {again}")
            self._refuse(other.number, f"another executor called {member.name} came: {_NAMES}")
        self.members[number] = member
        member.rest = self._rests.setdefault(member.name, member.rest)
        self._place(member)
        if member.problem:
            self._refuse(number, member.problem)

    def _refuse(self, number: int, why: str) -> None:
        """Tell an executor why it takes no part: who runs it reads its log, not this one's."""
        message = self._post.push(number, messages.pack_note("refused", {"reason": why}))
        if message is not None:
            self._refused[message] = number

    def _place(self, member: ConnectedExecutor) -> None:
        """Note whether an executor takes part, stands aside, or cannot take part."""
        self.aside.pop(member.name, None)
        try:
            member.problem = aside = self._choose(member)
            member.problem = aside or self._judge(member)
        except Exception as error:  # whatever is wrong with it is wrong with this one alone
            why = shown(f"{type(error).__name__}: {error}")
            aside, member.problem = "", f"what it says of itself is incomplete: {why}"
        member.problem = shown(member.problem)
        if aside:
            self.aside[member.name] = aside
            self._tell(f"executor {member.name} stands aside: {aside}")
        elif member.problem:
            self._misfit(member.name, member.problem)
        else:
            self.unfit.pop(member.name, None)
            if member.name not in self._welcomed:
                self._tell(f"executor {member.name} takes part")
            self._welcomed.add(member.name)

    def _misfit(self, name: str, why: str, whole: str = "") -> None:
        """Note and say why an executor cannot take part; of very many some are kept."""
        if name in self.unfit or len(self.unfit) < _KEPT:
            self.unfit[name] = whole or why
        self._tell(f"executor {name} cannot take part: {why}")

    def _tell(self, text: str) -> None:
        """Say something that executors can bring about; often, then at most once a minute."""
        now = time.monotonic()
        times, last = self._told.pop(text, (0, 0.0))
        if times >= _OFTEN and now - last < MINUTE:
            self._told[text] = (times, last)
            return
        self._told[text] = (times + 1, now)
        if len(self._told) > _KEPT:
            del self._told[next(iter(self._told))]
        self.tell(text)


def _unread(content: Any, error: WireError) -> str:
    """Return why an executor does not say what it is: its own reason, where it gives one."""
    with contextlib.suppress(WireError):
        reason = messages.unpack_note(content, "refused").get("reason")
        return shown(f"it refuses to prepare: {reason}")
    return shown(f"what it says of itself is unreadable: {error}")

"""The executors that are there, and what each said of itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from aeros_core.elements import Description, InfrastructureElement
from aeros_flower import wire
from aeros_flower.link import Answer
from aeros_flower.parcel import WireError, of

__all__ = ["Member", "Post", "Roster"]

_REST = 60.0
"""Seconds that an executor which failed again and again is left alone, at most."""


class Post(Protocol):
    """What the controller's side needs of `link.Link`."""

    def nodes(self) -> set[int]:
        """Return the numbers of all nodes that are there now."""

    def push(self, node: int, content: Any, seconds: float | None = None) -> str | None:
        """Send a message; returns its id, or None."""

    def pull(self, messages: Iterable[str], most: int = 1) -> list[Answer]:
        """Return answers that are here."""

    def recall(self, messages: Iterable[str]) -> list[str]:
        """Take back what was not asked for yet."""

    def wait(self, seconds: float) -> bool:
        """Wait until something has come."""


@dataclass(slots=True)
class Member:
    """An executor that can take part.

    Args:
        number: Flower's number of the node.
        name: Its name.
        own: Whether all its data are one client's, of its name.
        examples: How many that client has.
        versions: Versions of what is installed there.
        element: The machine it is on.
        problem: Why it cannot take part; empty if it can.
        strikes: How often in a row it was lost or silent.
        rests: Until when nothing is sent to it, on the monotonic clock.
    """

    number: int
    name: str
    own: bool
    examples: int
    versions: Mapping[str, str]
    element: InfrastructureElement
    problem: str = ""
    strikes: int = 0
    rests: float = 0.0
    told: Mapping[str, Any] = field(default_factory=dict)

    def strike(self) -> None:
        """Note that it was lost or silent: it rests, longer each time."""
        self.strikes += 1
        self.rests = time.monotonic() + min(2.0 ** (self.strikes - 1), _REST)


class Roster:
    """Keeps the list of executors: asks each that comes, and forgets those that go.

    Args:
        post: Where messages go.
        preparing: What each is asked.
        judge: Returns why an executor cannot take part; empty if it can.
        tell: Hears of those who come, go, or cannot take part.
        choose: Returns why an executor is not among those that are asked; empty if it is.
    """

    def __init__(
        self,
        post: Post,
        preparing: Any,
        judge: Callable[[Member], str],
        tell: Callable[[str], None],
        choose: Callable[[Member], str] = lambda _: "",
    ) -> None:
        self._choose = choose
        self._post, self._preparing, self._judge, self._tell = post, preparing, judge, tell
        self._asked: dict[str, int] = {}
        self._known: set[int] = set()
        self._strikes: dict[str, tuple[int, float]] = {}
        self.members: dict[int, Member] = {}
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
        if self._asked:
            for answer in self._post.pull(self._asked, most=len(self._asked)):
                self._hear(self._asked.pop(answer.message), answer)

    @property
    def fit(self) -> list[Member]:
        """Those that may be sent something now, by name; all of them if all rest."""
        able = sorted((m for m in self.members.values() if not m.problem), key=lambda m: m.name)
        now = time.monotonic()
        return [m for m in able if m.rests <= now] or able

    @property
    def preparing(self) -> int:
        """How many have not yet said whether they can take part."""
        return len(self._asked)

    def forget(self, number: int) -> None:
        """Take an executor from the list."""
        if gone := self._drop(number):
            self._tell(f"executor {gone.name} is gone")

    def _drop(self, number: int) -> Member | None:
        self._known.discard(number)
        gone = self.members.pop(number, None)
        self._asked = {m: n for m, n in self._asked.items() if n != number}
        if gone is not None and gone.strikes:
            self._strikes[gone.name] = (gone.strikes, gone.rests)
        return gone

    def _hear(self, number: int, answer: Answer) -> None:
        if answer.error:
            self._known.discard(number)  # it is asked again if it comes back
            return
        try:
            member = _member(number, wire.unpack_note(answer.content, "prepared"))
        except (WireError, TypeError) as error:
            self.unfit[f"node {number}"] = f"what it says of itself is unreadable: {error}"
            return
        for other in [m for m in self.members.values() if m.name == member.name]:
            self._drop(other.number)  # it came back before it was missed, or is another one
            self._known.add(other.number)
            self._tell(f"executor {member.name} came again; two at a time need two names")
        self.members[number] = member
        member.strikes, member.rests = self._strikes.pop(member.name, (0, 0.0))
        self._place(member)

    def _place(self, member: Member) -> None:
        """Note whether an executor takes part, stands aside, or cannot take part."""
        self.aside.pop(member.name, None)
        try:
            member.problem = aside = self._choose(member)
            member.problem = aside or self._judge(member)
        except (KeyError, TypeError) as error:
            aside, member.problem = "", f"what it says of itself is incomplete: {error}"
        if aside:
            self.aside[member.name] = aside
            self._tell(f"executor {member.name} stands aside: {aside}")
        elif member.problem:
            self.unfit[member.name] = member.problem
            self._tell(f"executor {member.name} cannot take part: {member.problem}")
        else:
            self.unfit.pop(member.name, None)
            self._tell(f"executor {member.name} takes part")


def _member(number: int, told: Mapping[str, Any]) -> Member:
    element = dict(of(told.get("element"), dict, "element"))
    element["description"] = Description(**of(element.get("description"), dict, "description"))
    return Member(
        number=number,
        name=of(told.get("name"), str, "name"),
        own=of(told.get("own"), bool, "own"),
        examples=of(told.get("examples", 0), int, "examples"),
        versions=of(told.get("versions"), dict, "versions"),
        element=InfrastructureElement(**element),
        told=told,
    )

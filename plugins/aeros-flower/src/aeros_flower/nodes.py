"""The nodes of a task behind Flower's messages."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeros_core.clock import timed
from aeros_core.data import Partition
from aeros_core.encoding import Decoder
from aeros_core.messages import Failure, Instruction, Reply, State
from aeros_core.parameters import Layout, Parameters
from aeros_flower import parcel, wire
from aeros_flower.homes import Homes, Queued
from aeros_flower.limits import Limits
from aeros_flower.link import Answer
from aeros_flower.parcel import WireError, kind_of
from aeros_flower.roster import Member, Post, Roster

__all__ = ["FlowerNodes"]

_TICK = 0.5
"""Seconds between two looks at who is there, where nothing has come."""

_GRACE = 30.0
"""Seconds beyond its deadline for which a message is still delivered."""


_PROMPT = 1.0
"""Seconds after which an executor that has not asked for its message is silent, not slow."""

_QUIET = 60.0
"""Seconds without any reply after which is said who is waited for."""


@dataclass(slots=True)
class _Sent:
    """A message on its way, and what of it is not answered yet."""

    member: Member
    pending: dict[str, Queued]
    nbytes: int
    since: float
    late: bool = False

    @property
    def age(self) -> float:
        """Seconds since it was sent."""
        return time.monotonic() - self.since


class FlowerNodes:
    """Clients behind executors, as the round loop sees them (`aeros_core.intake.Nodes`).

    Where executors hold data of their own, each is a client, called by its name. Otherwise
    clients are those of the task's partition, and any executor serves any of them: when one
    is lost, others take over what it had, with the same result.

    Args:
        post: Where messages go.
        roster: Who is there.
        partition: Clients of the task's own data, served by executors without any.
        codec: What reads compressed updates.
        limits: How much is on its way at a time.
        kept: What else is kept with the run for a controller that goes on.
    """

    def __init__(
        self,
        post: Post,
        roster: Roster,
        partition: Partition,
        codec: Decoder | None = None,
        limits: Limits | None = None,
        kept: State | None = None,
    ) -> None:
        self._kept: State = kept or {}
        self._post, self._roster, self._limits = post, roster, limits or Limits()
        self._partition, self._codec = partition, codec
        self._layout: Layout | None = None
        self._queue: deque[Queued] = deque()
        self._sent: dict[str, _Sent] = {}
        self._ready: deque[Reply] = deque()
        self._homes = Homes(codec is not None, self._limits.homecoming)
        self._session = secrets.token_hex(16)
        self._owners: list[Member] = []
        self._model: tuple[Parameters, parcel.Block] | None = None
        self._heard = time.monotonic()

    def __len__(self) -> int:
        """Number of clients that could be selected now."""
        self._roster.refresh()
        self._owners = [member for member in self._roster.fit if member.own]
        return len(self._owners) or len(self._partition)

    def name(self, number: int) -> str:
        """Return the id of client ``number``."""
        return self._owners[number].name if self._owners else self._partition.name(number)

    def sizes(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of examples of these clients."""
        if self._owners:
            return np.array([self._owners[i].examples for i in numbers.tolist()], np.int64)
        return self._partition.sizes[numbers]

    def dispatch(self, instructions: Sequence[Instruction]) -> None:
        """Send instructions on their way, as far as the window allows."""
        self._heard = time.monotonic()
        with timed("send"):
            self._queue.extend(map(Queued, instructions))
            self._send()

    def receive(self, timeout: float | None) -> Reply | None:
        """Return the next reply; None once the time is over, or if none is to come."""
        if self._ready:  # of a message that came before: no look at who is there, no clock
            return self._ready.popleft()
        with timed("receive"):
            return self._next(timeout)

    def _next(self, timeout: float | None) -> Reply | None:
        ends = None if timeout is None else time.monotonic() + timeout
        while not self._ready:
            self._roster.refresh()
            self._take_back()
            self._send()
            for answer in self._post.pull(self._sent):
                self._open(answer)
            if self._ready:
                break
            left = _TICK if ends is None else min(_TICK, ends - time.monotonic())
            if left <= 0 or not (self._queue or any(not s.late for s in self._sent.values())):
                return None
            self._tell_of_silence()
            self._post.wait(left)
        self._heard = time.monotonic()
        return self._ready.popleft()

    def _tell_of_silence(self) -> None:
        """Say who is waited for, where nothing has come for long and nothing ends the round."""
        now, waits = time.monotonic(), [s for s in self._sent.values() if not s.late]
        if now - self._heard < _QUIET or not waits:
            return
        self._heard = now
        told = next(iter(waits[0].pending.values())).told
        names = sorted({sent.member.name for sent in waits})
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        end = "" if told.deadline else "; task.deadline=SECONDS would go on without"
        self._roster.tell(f"round {told.round} waits for {shown}, nothing came for a minute{end}")

    def abandon(self) -> None:
        """Give up what is on its way; what executors have already begun may still come."""
        self._queue.clear()
        self._ready.clear()
        back = {message: self._sent.pop(message) for message in self._post.recall(self._sent)}
        missed = [sent for sent in self._sent.values() if not sent.late]
        missed += [sent for sent in back.values() if sent.age > _PROMPT]
        for sent in {one.member.name: one for one in missed}.values():  # once for all of a round
            sent.member.rest.strike(sent.age)
        for sent in self._sent.values():
            sent.late = True

    def state(self) -> State:
        """Return what a controller that goes on has to know: whom executors keep things for."""
        return {**self._kept, "session": self._session, "homes": self._homes.to_json()}

    def restore(self, state: State) -> None:
        """Take up what `state` returned; of a run that began elsewhere nothing."""
        self._session = str(state.get("session") or self._session)
        self._homes.restore(str(state.get("homes", "{}")))

    # ------------------------------------------------------------ sending

    def _send(self) -> None:
        """Send what is queued: one message an executor, or more where models are large."""
        self._fail_forlorn()
        held: list[Queued] = []
        while self._queue and (members := self._roster.fit):
            first = self._queue[0].told
            outstanding = sum(sent.nbytes for sent in self._sent.values())
            if self._sent and outstanding + first.nbytes > self._limits.window:
                break
            room = max(self._limits.window - outstanding, first.nbytes)
            batch = self._batch(max(1, room // max(first.nbytes, 1)))
            hands, waiting = self._homes.deal(batch, members)
            held += waiting
            for member in members:
                self._bundle(member, hands.get(member.name, []))
        self._queue.extend(held)

    def _batch(self, most: int) -> list[Queued]:
        """Take from the queue what shares its parameters with the first."""
        first, batch = self._queue[0].told, [self._queue.popleft()]
        while self._queue and len(batch) < most and _alike(first, self._queue[0].told):
            batch.append(self._queue.popleft())
        return batch

    def _bundle(self, member: Member, hand: Sequence[Queued]) -> None:
        """Send a hand to an executor, as few messages as the size of their replies allows."""
        size = max((queued.told.nbytes for queued in hand), default=1) or 1
        most = max(1, self._limits.bundle // size)
        for start in range(0, len(hand), most):
            part = hand[start : start + most]
            told = [queued.told for queued in part]
            self._layout = told[0].parameters.layout
            limit = told[0].deadline
            message = self._post.push(
                member.number,
                wire.pack_instructions(told, self._session, self._block(told[0].parameters)),
                None if limit is None else limit + _GRACE,
            )
            if message is None:  # it has gone in this moment
                self._roster.forget(member.number)
                self._queue.extend(part)
            else:
                pending = {queued.told.node: queued for queued in part}
                self._sent[message] = _Sent(member, pending, size * len(part), time.monotonic())

    def _block(self, parameters: Parameters) -> parcel.Block:
        """Return parameters as a block, made once for all messages of a round."""
        if self._model is None or self._model[0] is not parameters:
            self._model = (parameters, wire.model_of(parameters))
        return self._model[1]

    def _again(self, lost: Iterable[Queued]) -> None:
        for queued in lost:
            told = queued.told
            if queued.attempt + 1 >= self._limits.attempts:
                why = f"{queued.attempt + 1} executors were lost while it trained"
                self._ready.append(Failure(told.node, told.round, why))
            else:
                self._queue.append(Queued(told, queued.attempt + 1))

    def _fail_forlorn(self) -> None:
        """Fail what has waited too long for an executor."""
        if self._roster.fit or self._roster.preparing:
            return
        now = time.monotonic()
        while self._queue and now - self._queue[0].since > self._limits.patience:
            told = self._queue.popleft().told
            why = f"no executor was there for {self._limits.patience:g} s"
            self._ready.append(Failure(told.node, told.round, why))

    # ------------------------------------------------------------ receiving

    def _take_back(self) -> None:
        """Queue again what was with executors that are gone."""
        here = self._roster.members
        for message in [m for m, s in self._sent.items() if s.member.number not in here]:
            self._lose(message)

    def _lose(self, message: str) -> None:
        sent = self._sent.pop(message)
        if not sent.late:
            sent.member.rest.strike(sent.age)
            self._again(sent.pending.values())

    def _open(self, answer: Answer) -> None:
        """Take in an answer; what is missing or foreign in it fails the clients it is for."""
        if answer.error:
            self._lose(answer.message)
            return
        sent = self._sent.pop(answer.message)
        if not sent.late:
            sent.member.rest.end()
        why = "its executor sent no reply for it"
        try:
            asked = set(sent.pending)
            for reply in self._read(answer.content):
                sent.pending.pop(reply.node, None)
                if reply.node in asked:  # also a second time: the round counts what it refuses
                    self._ready.append(reply)
        except WireError as error:
            why = str(error)
        for queued in sent.pending.values():
            self._ready.append(Failure(queued.told.node, queued.told.round, why))

    def _read(self, content: Any) -> list[Reply]:
        if kind_of(content) == "refused":
            reason = wire.unpack_note(content, "refused").get("reason")
            raise WireError(f"its executor refused: {reason}")
        return wire.unpack_replies(content, self._layout, self._codec)


def _alike(one: Instruction, other: Instruction) -> bool:
    """Tell whether two instructions can travel in one message."""
    return (
        one.parameters is other.parameters
        and one.round == other.round
        and one.action is other.action
        and one.deadline == other.deadline
        and one.personal == other.personal
        and one.delta == other.delta
    )

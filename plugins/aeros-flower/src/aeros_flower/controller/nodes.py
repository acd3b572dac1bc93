"""The nodes of a task behind Flower's messages."""

from __future__ import annotations

import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeros_core.data import Partition
from aeros_core.encoding import Decoder
from aeros_core.federated.synchronous import GONE
from aeros_core.federated.timing import timed
from aeros_core.federated.updates.validation import within_stated
from aeros_core.messages import Failure, Instruction, Reply, State
from aeros_core.parameters import Layout, Parameters
from aeros_core.tasks import waiting
from aeros_flower.controller.limits import Limits
from aeros_flower.controller.pending_message import Sent, alike, awaited
from aeros_flower.membership.assignment import ClientAssignment, Queued, overdue, to_owners
from aeros_flower.membership.executors import ConnectedExecutor, Executors, Post
from aeros_flower.membership.presence import Presence
from aeros_flower.protocol import message_content, messages
from aeros_flower.protocol.message_content import WireError, kind_of
from aeros_flower.protocol.replies import Refused, sorted_out
from aeros_flower.superlink.embedded import PulledMessages

__all__ = ["FlowerNodes"]

_TICK = 0.5
"""Seconds between two looks at who is there, where nothing has come."""

_GRACE = 30.0
"""Seconds beyond its deadline for which a message is still delivered."""


_PROMPT = 1.0
"""Seconds after which an executor that has not asked for its message is silent, not slow."""

_QUIET = 60.0
"""Seconds without any reply after which is said who is waited for."""


class FlowerNodes:
    """Clients behind executors, as the round loop sees them (`Nodes`).

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
        roster: Executors,
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
        self._sent: dict[str, Sent] = {}
        self._ready: deque[Reply] = deque()
        self._homes = ClientAssignment(codec is not None, self._limits.homecoming)
        self._session = secrets.token_hex(16)
        self._owners: list[ConnectedExecutor] = []
        self._refused: list[Refused] = []
        self._presence = Presence(roster, post, self._limits.patience)
        self._model: tuple[Parameters, message_content.Block] | None = None
        self._heard = time.monotonic()

    def __len__(self) -> int:
        """Number of clients that could be selected now; none where no executor is there."""
        self._roster.refresh()
        fit = self._presence.fit
        self._owners = fit if self._presence.own else []
        return len(fit) if self._presence.own else len(self._partition) if fit else 0

    def name(self, number: int) -> str:
        """Return the id of client ``number``, of those that `len` last counted."""
        return self._owners[number].name if self._presence.own else self._partition.name(number)

    def sizes(self, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of examples of these clients."""
        if self._presence.own:
            return np.array([self._owners[i].examples for i in numbers.tolist()], np.int64)
        return self._partition.sizes[numbers]

    def wait_for(self, count: int, check: Callable[[], None]) -> None:
        """Wait until so many clients can be selected; see `nodes.SupportsPresence`.

        Raises:
            TaskError: They have not come in time.
        """
        self._presence.wait(lambda: len(self), count, check)

    def refusals(self) -> list[Refused]:
        """Return what was refused here since the last call; see `nodes.SupportsRefusals`."""
        found = [*self._refused, *self._roster.below]
        self._refused.clear()
        self._roster.below.clear()
        return found

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
            began = time.monotonic()
            waiting.check()
            if ends is not None:
                ends += time.monotonic() - began  # a pause uses no deadline up
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
        """Report the awaited executors: at once if none is connected, else after a while."""
        if self._presence.is_deserted():
            self._heard = time.monotonic()
        elif time.monotonic() - self._heard >= _QUIET and (
            told := awaited(self._sent.values(), self._queue, self._presence.missing)
        ):
            self._heard = time.monotonic()
            self._roster.tell(told)

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
        self._fail_gone({member.name for member in self._presence.open_to})
        held: list[Queued] = []
        while self._queue and (members := self._presence.open_to):
            first = self._queue[0].told
            outstanding = sum(sent.nbytes for sent in self._sent.values())
            if self._sent and outstanding + first.nbytes > self._limits.window:
                break
            room = max(self._limits.window - outstanding, first.nbytes)
            batch = self._batch(max(1, room // max(first.nbytes, 1)))
            deal = to_owners if self._presence.own else self._homes.deal
            hands, kept = deal(batch, members)
            held += kept
            for member in members:
                self._bundle(member, hands.get(member.name, []))
        self._queue.extend(held)

    def _batch(self, most: int) -> list[Queued]:
        """Take from the queue what shares its parameters with the first."""
        first, batch = self._queue[0].told, [self._queue.popleft()]
        while self._queue and len(batch) < most and alike(first, self._queue[0].told):
            batch.append(self._queue.popleft())
        return batch

    def _bundle(self, member: ConnectedExecutor, hand: Sequence[Queued]) -> None:
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
                messages.pack_instructions(told, self._session, self._block(told[0].parameters)),
                None if limit is None else limit + _GRACE,
            )
            if message is None:  # it has gone in this moment
                self._roster.forget(member.number)
                self._queue.extend(part)
            else:
                pending = {queued.told.node: queued for queued in part}
                self._sent[message] = Sent(member, pending, size * len(part), time.monotonic())

    def _block(self, parameters: Parameters) -> message_content.Block:
        """Return parameters as a block, made once for all messages of a round."""
        if self._model is None or self._model[0] is not parameters:
            self._model = (parameters, messages.model_of(parameters))
        return self._model[1]

    def _again(self, lost: Iterable[Queued]) -> None:
        for queued in lost:
            told = queued.told
            if queued.attempt + 1 >= self._limits.attempts:
                why = f"{queued.attempt + 1} executors were lost while it trained"
                self._ready.append(Failure(told.node, told.round, why))
            else:
                self._queue.append(Queued(told, queued.attempt + 1))

    def _fail_gone(self, here: set[str]) -> None:
        """Fail what has waited too long for its own executor, or for any at all."""
        if self._roster.preparing or (here and not self._presence.own):
            return
        limits = self._limits
        limit = min(limits.homecoming, limits.patience) if here else limits.patience
        who = "its executor, which alone has its data, was not" if here else "no executor was"
        kept, gone = overdue(self._queue, here, limit)
        for told in gone:
            self._ready.append(Failure(told.node, told.round, f"{who} there for {limit:g} s", GONE))
        self._queue = kept

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

    def _open(self, answer: PulledMessages) -> None:
        """Take in an answer; what is missing or foreign in it fails the clients it is for."""
        if answer.error:
            self._lose(answer.message)
            return
        sent = self._sent.pop(answer.message)
        if not sent.late:
            sent.member.rest.end()
        asked, name = {n: queued.told for n, queued in sent.pending.items()}, sent.member.name
        try:
            found, refused = sorted_out(name, asked, self._read(answer.content))
        except WireError as error:
            found, refused = sorted_out(name, asked, (), str(error))
        self._ready += [within_stated(reply, self._stated(sent.member, reply)) for reply in found]
        self._refused += refused

    def _stated(self, member: ConnectedExecutor, reply: Reply) -> int:
        return member.examples if member.own else self._partition.examples(reply.node)

    def _read(self, content: Any) -> list[Reply]:
        if kind_of(content) == "refused":
            reason = messages.unpack_note(content, "refused").get("reason")
            raise WireError(f"its executor refused: {reason}")
        return messages.unpack_replies(content, self._layout, self._codec)

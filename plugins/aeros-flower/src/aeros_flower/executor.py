"""The process on an infrastructure element: warm, and always looking for its controller."""

from __future__ import annotations

import random
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from aeros_core import elements, plugins
from aeros_core.errors import AerosError, ConfigError, TaskError
from aeros_core.messages import Action, Failure, Reply
from aeros_core.registry import versions
from aeros_core.waiting import Reminder
from aeros_flower import brief, parcel, tidy, wire
from aeros_flower.fleet import Ended, Fleet, Lost, Unwelcome
from aeros_flower.job import Job, overridden
from aeros_flower.keep import Keeping
from aeros_flower.metrics import count_bytes, working
from aeros_flower.place import Place
from aeros_flower.start import say

__all__ = ["Executor", "Place"]

PATIENCE = 10.0
"""Seconds that a question for messages waits at the controller's door."""

LONGEST = 2.0
"""Seconds between two attempts to reach a controller, at most."""

POLLS = 0.2, 2.0
"""Seconds between questions to a SuperLink that lets nobody wait at its door: soon after a
message, and in the long run, half as many again each time."""

DAY = 86400.0


class Executor:
    """Connects, prepares what the controller's task needs, and trains; again and again.

    Args:
        place: What it is.
        connect: Makes a connection; called until it succeeds. None: who has the executor
            brings its messages.
        tell: What it does, in words.
        wait: Seconds to look for a controller at a time.
    """

    def __init__(
        self,
        place: Place,
        connect: Callable[[], Fleet] | None = None,
        tell: Callable[[str], None] = say,
        wait: float = DAY,
    ) -> None:
        self._place, self._connect, self._tell, self._wait = place, connect, tell, wait
        self._registry = plugins.discover()
        self._element = asdict(elements.this_machine(place.description))
        self._keeping = Keeping(place.state / place.name)
        self._job: Job | None = None
        self._run, self._since, self._regretted = 0, "", (0, "")
        self._made_from: Any = None
        self._stopped = threading.Event()

    @property
    def idle(self) -> bool:
        """Whether nothing is prepared."""
        return self._job is None

    def run(self) -> None:
        """Serve whichever controller is at the address, until `stop`.

        Raises:
            TaskError: The controller there does not admit this node, or there was none.
        """
        pause, since, met = 0.1, time.monotonic(), False
        reasons = Reasons(self._say)
        while not self._stopped.is_set():
            try:
                fleet = self._connect()  # type: ignore[misc]  # it has one that runs
            except (Lost, ConfigError) as error:
                self._bear(error, met=met, waited=time.monotonic() - since)
                reasons.say(_in_words(error))
                pause = min(pause * 1.5, LONGEST)
                self._stopped.wait(pause * random.uniform(0.7, 1.0))  # noqa: S311
                continue
            pause, met = 0.1, True
            self._say("is connected")
            reasons.restart(known=self._serve(fleet))
            since = time.monotonic()

    def _bear(self, error: Lost | ConfigError, *, met: bool, waited: float) -> None:
        """Go on waiting, unless that is in vain.

        Whatever answers at the address once a controller was there may be a proxy, a machine
        that was given its number, or a controller half started: one that comes is waited for.

        Args:
            error: Why there is no connection.
            met: Whether there has been one.
            waited: Seconds since there was none.

        Raises:
            ConfigError: What answers at first is not to be trusted, or speaks otherwise.
            TaskError: The node's key is not admitted, or nobody came in time.
        """
        if isinstance(error, ConfigError) and not met:
            raise error
        if isinstance(error, Unwelcome) and (error.key or not met):
            raise TaskError(
                f"the controller does not admit {self._place.name} ({error})",
                hint="--key FILE here; beside the controller: aeros certs admit NAME FILE.pub",
            ) from error
        if waited > self._wait:
            raise self._alone(_in_words(error)) from error

    def _alone(self, why: str) -> TaskError:
        return TaskError(
            f"executor {self._place.name} found no controller for {self._wait:g} s ({why})",
            hint="aeros run deployment=flower there, then this command again; --wait SECONDS"
            " waits longer",
        )

    def stand_in(self, name: str, since: str) -> None:
        """Serve next for a node among several that share this executor.

        Args:
            name: Whose state is to be found and stored.
            since: Names the last time that a controller came to that node.
        """
        self._keeping, self._since = Keeping(self._place.state / name), since

    def stop(self) -> None:
        """End after what is being done."""
        self._stopped.set()

    def _say(self, text: str) -> None:
        self._tell(f"executor {self._place.name} {text}")

    def _serve(self, fleet: Fleet) -> bool:
        """Do what the controller asks; return whether it came to its end."""
        pause = POLLS[0]
        try:
            while not self._stopped.is_set() and not fleet.lost.is_set():
                began = time.monotonic()
                message = fleet.pull(PATIENCE)
                if message is None:
                    if time.monotonic() - began < POLLS[1]:  # nobody held the question
                        self._stopped.wait(pause)
                        pause = min(1.5 * pause, POLLS[1])
                    continue
                pause, began = POLLS[0], time.monotonic()
                run = message.metadata.run_id
                answer = self.answer(message.content, fleet.lost.is_set, run)
                count_bytes("received", parcel.size_of(message.content))
                count_bytes("sent", parcel.size_of(answer))
                fleet.push(answer, message, time.monotonic() - began)
                del message, answer
        except Ended:
            self._say("waits for the next run: the controller has ended")
            return True
        except (Lost, ConfigError) as error:
            self._say(f"lost the controller ({_in_words(error)})")
        finally:
            fleet.close()
        return False

    def answer(self, content: Any, lost: Callable[[], bool] = lambda: False, run: int = 0) -> Any:
        """Return the answer to a message; whatever is wrong with it is an answer, too.

        Args:
            content: The records of the message.
            lost: Says whether nobody waits for the answer any more.
            run: Flower's run that it is of: several may go over one SuperLink, and what is
                prepared is prepared for one of them.
        """
        try:
            if parcel.kind_of(content) == "prepare":
                self._run, self._since = run, secrets.token_hex(8)
                with working("prepare"):
                    told = self._prepare(content)
                self._regret(told["error"], run)
                return wire.pack_note("prepared", told)
            if parcel.kind_of(content) == "refused":
                self._regret(str(wire.unpack_note(content, "refused").get("reason")), run)
                return wire.pack_note("heard", {"name": self._place.name})
            instructions = wire.unpack_instructions(content)
            session = wire.session_of(content)
        except (parcel.WireError, ValueError) as error:
            return wire.pack_note("refused", {"reason": f"unreadable: {error}"})
        replies: list[Reply] = []
        if self._job is None or run != self._run:
            other = "was prepared for another run" if self._job else "was not prepared"
            replies += [Failure(i.node, i.round, other) for i in instructions]
        else:
            stopped, nodes = self._stopped.is_set, self._job.nodes
            clients = [told.node for told in instructions if told.action is Action.TRAIN]
            self._keeping.begin(nodes, session, instructions[0].round, self._since, clients)
            with working(instructions[0].action.value):
                replies += self._job.follow(instructions, lambda: stopped() or lost())
            self._keeping.end(nodes)
        return wire.pack_replies(replies)

    def _regret(self, why: str, run: int) -> None:
        """Say why it takes no part in a run, once; the controller may say the same."""
        if why and (run, why) != self._regretted:
            self._say(f"takes no part in the task: {why}")
        self._regretted = (run, why)

    def _prepare(self, content: Any) -> dict[str, Any]:
        """Build what the task needs, unless it is there already, and say how that went."""
        config, model = brief.unpack_preparation(content)
        told: dict[str, Any] = {
            "name": self._place.name,
            "own": self._place.own,
            "versions": versions(self._registry),
            "element": self._element,
            "error": "",
        }
        try:
            if self._job is None or self._made_from != content:
                self._job = None  # memory for one
                self._keeping = Keeping(self._place.state / self._place.name)
                config = overridden(config, self._place.settings)
                client = self._place.name if self._place.own else None
                self._job = Job(self._registry, config, client, model)
                self._made_from = content
                tidy.settle()
        except AerosError as error:
            return told | {"error": _in_a_line(error)}
        except Exception as error:
            return told | {"error": f"{type(error).__name__}: {error}"}
        return told | self._job.summary


class Reasons:
    """Tells why a controller is waited for: at once where it is another reason, and each minute.

    Args:
        tell: Hears it.
    """

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell, self._said, self._known = tell, "", False
        self._minute = Reminder(tell)

    def restart(self, *, known: bool) -> None:
        """Begin anew after a connection.

        Args:
            known: Whether it was said that the controller has come to its end: then each
                minute is enough.
        """
        self._said, self._known = "", known
        self._minute.restart()

    def say(self, why: str) -> None:
        """Tell the reason, if it is due."""
        text = f"waits for the controller ({why})"
        if why != self._said and not self._known:
            self._tell(text)
            self._minute.restart()
        self._said = why
        self._minute.say(text)


def _in_words(error: Lost | ConfigError) -> str:
    return error.asked if isinstance(error, ConfigError) else str(error)


def _in_a_line(error: AerosError) -> str:
    """Return what an error says, as one of the reasons that the controller lists."""
    more = [f"exists: {error.exists}"] if error.exists else []
    more += [error.hint] if error.hint else []
    return f"{error.asked} ({'; '.join(more)})" if more else error.asked

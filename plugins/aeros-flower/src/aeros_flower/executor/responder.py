"""The answers of an executor to what a controller asks: prepare, summarise, carry out."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from aeros_core.fields.alignment import Differences, SchemaMismatch
from aeros_core.messages import Action, Failure, Instruction, Reply
from aeros_core.plugins import discovery
from aeros_core.plugins.registry import versions
from aeros_core.tasks import infrastructure
from aeros_flower.executor.client_store import ClientStore
from aeros_flower.executor.preparation import prepared
from aeros_flower.executor.task_job import TaskJob
from aeros_flower.metrics import working
from aeros_flower.protocol import message_content, messages, preparation
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.site import redaction
from aeros_flower.site.log import LogError
from aeros_flower.site.redaction import ErrorKind, RefusedByPolicy
from aeros_flower.site.rules import Request
from aeros_flower.site.site import Site
from aeros_flower.system import memory

__all__ = ["Responder"]

UNPREPARED, OTHER_RUN = "was not prepared", "was prepared for another run"
"""Why an executor does nothing that it was asked out of turn."""


class Responder:
    """Answers a controller's messages, and holds what was prepared for its task.

    Args:
        place: What the executor is.
        site: What decides for the executor's owner.
        tell: Receives what the executor's person is to read.
    """

    def __init__(self, place: ExecutorInfo, site: Site, tell: Callable[[str], None]) -> None:
        self._place, self._site, self._say = place, site, tell
        self._registry = discovery.discover()
        self._element = asdict(infrastructure.this_machine(place.description))
        if not site.permissive:
            self._element["name"] = place.name  # not the machine's
        self._keeping = ClientStore(place.state / place.name)
        self._job: TaskJob | None = None
        self._run, self._since, self._regretted = 0, "", (0, "")
        self._made_from: Any = None
        self._made_for: Any = None
        self._left_out: tuple[str, ...] = ()

    @property
    def idle(self) -> bool:
        """Whether nothing is prepared."""
        return self._job is None

    def stand_in(self, name: str, since: str) -> None:
        """Answer next for a node among several that share the executor.

        Args:
            name: Whose state is to be found and stored.
            since: Names the last time that a controller came to that node.
        """
        self._keeping, self._since = ClientStore(self._place.state / name), since

    def answer(self, content: Any, ended: Callable[[], bool], run: int) -> Any:
        """Return the answer to a message; whatever is wrong with it is an answer, too.

        Args:
            content: The records of the message.
            ended: Says whether the work is to end before it is done.
            run: Flower's run that it is of: several may go over one SuperLink, and what is
                prepared is prepared for one of them.
        """
        self._site.begin(run)
        try:
            kind = message_content.kind_of(content)
            if kind == "prepare":
                return self._prepared(content, run)
            if kind == "summarise":
                return self._summarised(content, run)
            if kind == "refused":
                self._regret(str(messages.unpack_note(content, "refused").get("reason")), run)
                return messages.pack_note("heard", {"name": self._place.name})
            instructions = messages.unpack_instructions(content)
            session = messages.session_of(content)
            return self._carried_out(instructions, session, ended, run)
        except LogError as error:  # what is not logged does not leave
            self._say(str(error))
            return messages.pack_note("refused", {"reason": redaction.sentence(ErrorKind.LOG)})
        except Exception as error:
            return messages.pack_note("refused", {"reason": self._unread(error)})

    def _unread(self, error: Exception) -> str:
        """Log that a message was not understood; return what its sender may know of that."""
        try:
            return self._site.refused(error, ErrorKind.UNREADABLE)
        except LogError as log:
            self._say(str(log))
            return redaction.sentence(ErrorKind.LOG)

    def _prepared(self, content: Any, run: int) -> Any:
        self._run, self._since = run, secrets.token_hex(8)
        with working("prepare"):
            told = self._prepare(content, run)
        answer = messages.pack_note("prepared", told)
        self._site.sent("prepared", message_content.size_of(answer), told.get("examples", 0))
        return answer

    def _summarised(self, content: Any, run: int) -> Any:
        """Return the summary of the rows here from which a step is fitted, if it may leave."""
        step, fitted = preparation.unpack_summary_request(content)
        job = self._job
        if job is None or run != self._run:
            return messages.pack_note("refused", {"reason": UNPREPARED})
        try:
            self._site.admit_summary(job.loaded_rows, step)
            rounds = 1 / max(len(job.sending) - 1, 1)  # a summary of each fitted step is a round
            with working("summarise"), self._site.working("summarise", rounds, step=step):
                summary = job.summarise(step, fitted)
        except LogError:
            raise
        except Exception as error:
            self._regret(redaction.whole(error), run)
            return messages.pack_note("refused", {"reason": self._site.refused(error)})
        answer = preparation.pack_summary(summary)
        self._site.sent("summary", message_content.size_of(answer), job.loaded_rows, step=step)
        return answer

    def _carried_out(
        self,
        instructions: Sequence[Instruction],
        session: str,
        ended: Callable[[], bool],
        run: int,
    ) -> Any:
        """Return the replies to instructions, as they may leave."""
        job, site = self._job, self._site
        if job is None or run != self._run:
            why = UNPREPARED if job is None else OTHER_RUN
            return messages.pack_replies([Failure(i.node, i.round, why) for i in instructions])
        replies = site.released(self._follow(job, instructions, session, ended), job.rows)
        answer = messages.pack_replies(replies)
        site.sent_replies(replies, message_content.size_of(answer), job.rows)
        return answer

    def _follow(
        self,
        job: TaskJob,
        instructions: Sequence[Instruction],
        session: str,
        ended: Callable[[], bool],
    ) -> list[Reply]:
        """Carry instructions out within the bounds of the site."""
        nodes, first = job.nodes, instructions[0]
        clients = [told.node for told in instructions if told.action is Action.TRAIN]
        replies: list[Reply] = []
        try:
            self._site.admit_instructions(instructions)
            rounds = len(instructions) / len(nodes)
            with (
                working(first.action.value),
                self._site.working(first.action.value, rounds, round=first.round),
            ):
                self._keeping.begin(nodes, session, first.round, self._since, clients)
                replies += job.follow(instructions, ended)
                self._keeping.end(nodes)
        except RefusedByPolicy as error:
            self._job = None if error.interrupted else self._job
            self._regret(redaction.whole(error), self._run)
            why, done = self._site.refused(error), {reply.node for reply in replies}
            replies += [Failure(i.node, i.round, why) for i in instructions if i.node not in done]
        return replies

    def _regret(self, why: str, run: int) -> None:
        """Say why it takes no part in a run, once; the controller may say the same."""
        if why and (run, why) != self._regretted:
            self._say(f"takes no part in the task: {why}")
        self._regretted = (run, why)

    def _prepare(self, content: Any, run: int) -> dict[str, Any]:
        """Build what the task needs, unless it is there already, and say how that went."""
        told: dict[str, Any] = {
            "name": self._place.name,
            "own": self._place.own,
            "versions": versions(self._registry),
            "element": self._element,
            "error": "",
        }
        asked = None
        try:
            asked = Request(*preparation.unpack_preparation(content))
            self._site.admit_task(asked, self._registry)
            with self._site.working("prepare"):
                self._build(content, asked)
            job: TaskJob = self._job  # type: ignore[assignment]  # it was built
            return told | job.summary | self._different(job.differences)
        except LogError:
            raise
        except SchemaMismatch as error:
            self._job = None
            sent = self._site.refused(error, ErrorKind.SCHEMA)
            self._regret(redaction.whole(error), run)
            self._regretted = (run, sent)
            return told | self._different(error.differences) | {"error": sent}
        except Exception as error:
            self._job = None
            about = [] if asked is None else asked.unregistered(self._registry)
            sent = self._site.refused(error, about=", ".join(about))
            self._regret(redaction.whole(error), run)
            self._regretted = (run, sent)  # the controller says that, too
            return told | {"error": sent}

    def _different(self, differences: Differences) -> dict[str, Any]:
        """Return how data differ from the task's schema, as far as the policy lets it be known.

        Names are those that the task itself named; of others, and of categories, there is the
        number alone. Categories of a column leave where the policy publishes them.
        """
        shown = {
            name: list(names)
            for name, names in differences.found.items()
            if self._site.policy.names("categories", name)
        }
        if shown:
            size = len(json.dumps(shown))
            self._site.sent("categories", size, 0, columns=sorted(shown))
        if differences.extra and differences.extra != self._left_out:
            self._say(f"leaves out columns that the task does not use: {_few(differences.extra)}")
        self._left_out = differences.extra
        return {
            "missing": list(differences.missing),
            "kinds": dict(differences.kinds),
            "unknown": dict(differences.unknown),
            "handled": dict(differences.handled),
            "extra": len(differences.extra),
            "categories": shown,
        }

    def _build(self, content: Any, asked: Request) -> None:
        """Build what the task needs, unless it is there already."""
        if self._job is not None and self._made_from == content:
            return
        made = (asked.config, asked.plan and asked.plan.source) if asked.model is None else None
        if self._job is not None and asked.plan is not None and made == self._made_for:
            self._job.complete(asked.plan.fitted)
            self._made_from = content
            return
        self._job = None  # memory for one
        self._made_for = made
        self._keeping = ClientStore(self._place.state / self._place.name)
        job = prepared(self._registry, self._place, self._site.policy, asked)
        self._site.admit_data(job.fewest, job.sending)
        self._job, self._made_from = job, content
        memory.settle()


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")

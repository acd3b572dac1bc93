"""A site: what its policy says of a controller's messages, and what its log holds of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from aeros_core.errors import AerosError, TaskError
from aeros_core.federated.synchronous import NO_TIME
from aeros_core.messages import Action, Failure, Instruction, Reply
from aeros_core.plugins.registry import Registry
from aeros_flower.site import redaction, release, rules, work_limits
from aeros_flower.site.log import NAME, SiteLog
from aeros_flower.site.policy.controllers import Controller
from aeros_flower.site.policy.policy import Policy
from aeros_flower.site.redaction import ErrorKind, RefusedByPolicy
from aeros_flower.site.rules import Request, Verdict
from aeros_flower.site.usage import BEGUN, DONE, STARTED, Usage

__all__ = ["Site"]


class Site:
    """Decides what an executor does for its controller, and what leaves it.

    Args:
        policy: What the site allows.
        executor: Name of the executor.
        state: Folder of its state, where the log lies if the policy names no file.
        tell: Receives what the site's person is to read.
        address: That of the controller, as far as it is known.
    """

    def __init__(
        self,
        policy: Policy,
        executor: str,
        state: Path,
        tell: Callable[[str], None],
        address: str = "",
    ) -> None:
        self.policy, self._tell = policy, tell
        self.controller = Controller(address)
        self.log = SiteLog(policy.log or state / NAME, executor=executor)
        self._executor = executor
        self._usage: Usage | None = None
        self._about: dict[str, Any] = {}
        self._said: set[str] = set()

    def start(self) -> None:
        """Open the log, and say by what policy the executor works.

        Raises:
            ConfigError: The log is not a file of this user's alone.
            LogError: It cannot be written.
        """
        self.log.open()
        self._write(STARTED, policy=str(self.policy.path or "defaults"), same_user=self.permissive)
        if self.permissive:
            self._tell(
                "its controller is this user's own (--same-user): it may ask anything, read any"
                " file of this user's, and is told whole errors"
            )
        elif self.policy.path is not None:
            self._tell(
                f"works by the policy {self.policy.path}; a change holds from the next start"
            )

    @property
    def permissive(self) -> bool:
        """Whether the controller belongs to the executor's own user."""
        return self.policy.permissive

    def meet(self, controller: Controller) -> None:
        """Take note of who is at the other end of the connection now."""
        if controller.address != self.controller.address:
            self._usage = None
        if controller != self.controller:
            self.controller = controller
            self._write("connected")

    # ------------------------------------------------------------ what is asked

    def begin(self, run: int) -> None:
        """Take note of the run that the next message is of."""
        if self._about.get("run") != run:
            self._about = {"run": run}

    def admit_task(self, request: Request, registry: Registry) -> None:
        """Hold a task against the policy.

        Raises:
            RefusedByPolicy: A rule does not allow it.
            LogError: The decision could not be logged.
        """
        self._about["task"] = request.name
        self._said.clear()
        verdicts = rules.judge_task(self.policy, request, registry)
        rules.enforce(self.policy, [*verdicts, *map(self._judge_work, Action)])

    def admit_data(self, sizes: Mapping[str, int], parts: Mapping[str, object]) -> None:
        """Hold the data that a task would work on, and what it would send, against the policy.

        Args:
            sizes: Rows of the client that has fewest, by its name.
            parts: Trainer and fitted steps by their keys in the task.

        Raises:
            RefusedByPolicy: A rule does not allow it.
            LogError: The decision could not be logged.
        """
        rows = [rules.judge_rows(self.policy, n, client) for client, n in sizes.items()]
        rules.enforce(self.policy, [*rows, release.judge_disclosures(self.policy, parts)])
        self._write("allowed", kind="task", rule="all", rows=sum(sizes.values()))

    def admit_summary(self, rows: int, step: str) -> None:
        """Hold a summary of rows against the smallest count that may be behind what leaves.

        Raises:
            RefusedByPolicy: Too few rows are behind it.
        """
        counted = rules.judge_summary(self.policy, rows, step)
        rules.enforce(self.policy, [counted, self._judge_work("summarise")])

    def admit_instructions(self, instructions: Sequence[Instruction]) -> None:
        """Hold instructions against the kinds of sub-task, and the work that is left.

        Raises:
            RefusedByPolicy: A rule does not allow it.
        """
        action = instructions[0].action
        kind = rules.judge_action(self.policy, action)
        rules.enforce(self.policy, [kind, self._judge_work(action)])

    def _judge_work(self, action: str) -> Verdict:
        return rules.judge_work(self.policy, self.usage, action)

    @property
    def usage(self) -> Usage:
        """What was worked for the controller's address lately."""
        if self._usage is None:
            self._usage = Usage.of_log(
                self.log.path, self.policy.limits_hours, self._executor, self.controller.address
            )
        return self._usage

    # ------------------------------------------------------------ the work

    @contextmanager
    def working(self, action: str, rounds: float = 0.0, **facts: Any) -> Iterator[None]:
        """Log and bound what is done within.

        Raises:
            RefusedByPolicy: It took more time or memory than the policy allows.
            LogError: It could not be logged; then it was not begun.
        """
        usage, policy, began = self.usage, self.policy, time.monotonic()
        self._write(BEGUN, action=action, rounds=rounds, **facts)
        usage.add_rounds(action, rounds)
        left = None if policy.most_seconds is None else policy.most_seconds - usage.seconds
        try:
            with work_limits.limited_memory(policy.most_memory_mb), work_limits.limited_time(left):
                yield
        except work_limits.OutOfTime:
            raise self._over("most_seconds", f"{policy.most_seconds:g} seconds", 2) from None
        except MemoryError as error:
            if policy.most_memory_mb is None:
                raise
            raise self._over("most_memory_mb", f"{policy.most_memory_mb} MiB", 2) from error
        finally:
            seconds = time.monotonic() - began
            usage.add_seconds(seconds)
            self._write(DONE, action=action, seconds=round(seconds, 3))

    def _over(self, rule: str, most: str, factor: int) -> RefusedByPolicy:
        line, why = f"{rule}: {getattr(self.policy, rule) * factor:g}", f"it took more than {most}"
        return RefusedByPolicy(rule, why, line, self.policy.location, interrupted=True)

    # ------------------------------------------------------------ what leaves

    def released(self, replies: Sequence[Reply], rows: Callable[[str], int]) -> list[Reply]:
        """Return replies as they may leave, and log each that does not leave whole.

        Args:
            replies: As the task's parts made them.
            rows: Returns how many rows a client has.

        Raises:
            LogError: It could not be logged.
        """
        return [self._released(reply, rows) for reply in replies]

    def _released(self, reply: Reply, rows: Callable[[str], int]) -> Reply:
        if isinstance(reply, Failure):
            return reply if self.permissive else self._failure(reply)
        made = release.release(self.policy, reply, rows)
        told = [self._withheld(self._refusal(verdict)) for verdict in made.withheld]
        if isinstance(made.reply, Failure):
            return replace(made.reply, reason=told[0])
        return made.reply

    def _withheld(self, error: AerosError, kind: ErrorKind | None = None) -> str:
        """Log what does not leave, and say so once in a task; see `refused`."""
        text = redaction.whole(error)
        if text not in self._said:
            self._said.add(text)
            self._tell(f"sends less than it was asked for: {text}")
        return self.refused(error, kind)

    def _failure(self, reply: Failure) -> Failure:
        """Return a failure without what its text says of the site."""
        if reply.reason == NO_TIME or isinstance(reply.reason, redaction.Sent):
            return reply
        error = TaskError(f"client {reply.node}, round {reply.round}: {reply.reason}")
        kind = redaction.kind_named(reply.reason)
        return replace(reply, reason=self._withheld(error, kind))

    def _refusal(self, verdict: Verdict) -> RefusedByPolicy:
        return RefusedByPolicy(verdict.rule, verdict.reason, verdict.line, self.policy.location)

    def sent_replies(self, replies: Sequence[Reply], size: int, rows: Callable[[str], int]) -> None:
        """Log the replies of one message: a line for each kind among them.

        Args:
            replies: As they leave.
            size: Of the message in bytes.
            rows: Returns how many rows a client has.

        Raises:
            LogError: They were not logged, so they must not leave.
        """
        kinds: dict[str, list[Reply]] = {}
        for reply in replies:
            kinds.setdefault(release.kind_of(reply), []).append(reply)
        for kind, some in kinds.items():
            counts = [0 if isinstance(r, Failure) else min(r.examples, rows(r.node)) for r in some]
            metrics = sorted({m for r in some if not isinstance(r, Failure) for m in r.metrics})
            self.sent(
                kind, size if len(kinds) == 1 else _size(some), sum(counts), clients=len(some),
                round=some[0].round, metrics=metrics or None,
            )  # fmt: skip

    def sent(self, kind: str, size: int, rows: int, **facts: Any) -> None:
        """Log what is about to leave.

        Args:
            kind: Of it, as ``update``.
            size: In bytes.
            rows: Rows that are behind it.
            facts: What else is known of it.

        Raises:
            LogError: It was not logged, so it must not leave.
        """
        self._write("sent", kind=kind, bytes=size, rows=rows, **facts)

    def refused(self, error: BaseException, kind: ErrorKind | None = None, about: str = "") -> str:
        """Log an error; return what the controller may know of it.

        Args:
            error: Whatever was raised.
            kind: Of the error; None: that of its class.
            about: Names that the task itself sent, such as the group of an option.

        Raises:
            LogError: It was not logged.
        """
        found = redaction.redacted(error, kind, about)
        rule = error.rule if isinstance(error, RefusedByPolicy) else None
        self._write(
            "refused" if rule else "error", kind=found.kind.value, rule=rule,
            reference=found.reference, text=found.whole,
        )  # fmt: skip
        return redaction.Sent(found.whole if self.permissive else found.sent)

    def _write(self, event: str, **facts: Any) -> None:
        there = self.controller
        self.log.write(
            event, **self._about, address=there.address, certificate=there.certificate or None,
            **facts,
        )  # fmt: skip


def _size(replies: Sequence[Reply]) -> int:
    return sum(getattr(reply, "nbytes", 0) for reply in replies)

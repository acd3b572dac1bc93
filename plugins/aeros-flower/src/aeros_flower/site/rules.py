"""The rules of a policy, each held against what a controller asks or what is about to leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aeros_core.messages import Action
from aeros_core.plugins.registry import Registry
from aeros_core.records import Model
from aeros_core.tasks.subtask import Kind
from aeros_core.tasks.task import InferenceOutput
from aeros_flower.protocol.data_plan import DataPlan
from aeros_flower.site.policy import addresses
from aeros_flower.site.policy.parts import Part, parts_of
from aeros_flower.site.policy.policy import Policy
from aeros_flower.site.redaction import RefusedByPolicy
from aeros_flower.site.usage import Usage

__all__ = [
    "KINDS",
    "Request",
    "Verdict",
    "enforce",
    "judge_action",
    "judge_rows",
    "judge_summary",
    "judge_task",
    "judge_work",
]

KINDS = {Action.TRAIN: Kind.train, Action.EVALUATE: Kind.evaluate, Action.INFER: Kind.infer}
"""Which kind of sub-task an instruction is part of."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a controller asks an executor to prepare for.

    Args:
        config: The task's configuration as plain data.
        model: What it is to answer with; None: it is to train.
        plan: What data are brought to that are trained on.
    """

    config: Mapping[str, Any]
    model: Model | None = None
    plan: DataPlan | None = None

    @property
    def task(self) -> Mapping[str, Any]:
        """Options of the task itself."""
        told = self.config.get("task")
        return told if isinstance(told, Mapping) else {}

    @property
    def name(self) -> str:
        """What the controller calls the task."""
        return str(self.task.get("name", "task"))[:100]

    def unregistered(self, registry: Registry) -> list[str]:
        """Return where it names parts that are not installed."""
        return [p.where for p in parts_of(registry, self.config, self.model) if not p.names]

    @property
    def kinds(self) -> list[str]:
        """Kinds of sub-task that the executor would carry out."""
        if self.model is not None:
            return [Kind.infer.value]
        evaluation = self.task.get("evaluation")
        federated = isinstance(evaluation, Mapping) and evaluation.get("federated")
        return [Kind.train.value, *([Kind.evaluate.value] if federated else [])]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one rule says of a request.

    Args:
        rule: Key of the policy.
        reason: What was asked, and what is allowed.
        line: Line of the policy that would allow it; empty where it is allowed.
    """

    rule: str
    reason: str
    line: str = ""

    @property
    def allowed(self) -> bool:
        """Whether the rule allows it."""
        return not self.line


def enforce(policy: Policy, verdicts: Sequence[Verdict]) -> None:
    """Refuse what one of the rules does not allow.

    Raises:
        RefusedByPolicy: The first rule that refuses.
    """
    for verdict in verdicts:
        if not verdict.allowed:
            raise RefusedByPolicy(verdict.rule, verdict.reason, verdict.line, policy.location)


def judge_task(policy: Policy, request: Request, registry: Registry) -> list[Verdict]:
    """Hold a task against every rule that needs no data; one verdict a rule."""
    parts = list(parts_of(registry, request.config, request.model))
    rules: Sequence[Callable[[], Verdict]] = (
        lambda: _kinds(policy, request),
        *(
            lambda rule=rule: _listed(policy, rule, parts)
            for rule in ("trainers", "models", "transformers", "inferencers", "codecs")
        ),
        lambda: _signers(policy, request, parts),
        lambda: _predictions(policy, request),
        lambda: _explanations(policy, parts),
        lambda: _remote(policy, registry, parts),
        lambda: _rounds(policy, request),
    )
    return [rule() for rule in rules]


def _kinds(policy: Policy, request: Request) -> Verdict:
    refused = [kind for kind in request.kinds if kind not in policy.tasks]
    if not refused:
        return Verdict("tasks", f"{', '.join(request.kinds)}: among [{', '.join(policy.tasks)}]")
    return Verdict(
        "tasks",
        f"sub-tasks of kind {', '.join(refused)} are asked for, [{', '.join(policy.tasks)}]"
        " are allowed",
        f"tasks: [{', '.join([*policy.tasks, *refused])}]",
    )


def _listed(policy: Policy, rule: str, parts: Sequence[Part]) -> Verdict:
    listed: tuple[str, ...] = getattr(policy, rule)
    asked = [part for part in parts if part.rule == rule and part.names]
    refused = [p for p in asked if not any(policy.names(rule, name) for name in p.names)]
    shown = ", ".join(p.names[0] for p in asked) or "none is asked for"
    if not refused:
        return Verdict(rule, f"{shown}: among [{', '.join(listed)}]")
    names = list(dict.fromkeys(part.names[0] for part in refused))
    return Verdict(
        rule,
        f"{', '.join(names)} is asked for ({', '.join(part.where for part in refused)}),"
        f" [{', '.join(listed)}] are allowed",
        f"{rule}: [{', '.join([*listed, *names])}]",
    )


def _signers(policy: Policy, request: Request, parts: Sequence[Part]) -> Verdict:
    """Hold algorithms that a task locks against the policy, unless all parts are here anyway."""
    locked = request.task.get("algorithms")
    names = ", ".join(map(str, locked)) if isinstance(locked, Mapping) else ""
    if not names or all(part.names for part in parts):
        return Verdict("signers", "no algorithm is needed here")
    if policy.signers:
        return Verdict("signers", f"{names}: if signed by one of [{', '.join(policy.signers)}]")
    return Verdict(
        "signers",
        f"the task brings algorithms ({names}), and no signer is allowed",
        "signers: [ID], as aeros algorithms keys shows it",
    )


def _predictions(policy: Policy, request: Request) -> Verdict:
    asked = (
        request.model is not None
        and request.task.get("collect") == InferenceOutput.predictions.name
    )
    if asked and not policy.predictions:
        return Verdict(
            "predictions", "collect=predictions: one prediction a row would leave",
            "predictions: true",
        )  # fmt: skip
    return Verdict("predictions", "asked for, and allowed" if asked else "none is asked for")


def _explanations(policy: Policy, parts: Sequence[Part]) -> Verdict:
    asked = [f"{p.where}.{key}" for p in parts for key in _asking(p)]
    if asked and not policy.explanations:
        return Verdict(
            "explanations", f"explanations are asked for ({', '.join(asked)})", "explanations: true"
        )
    return Verdict("explanations", "asked for, and allowed" if asked else "none is asked for")


def _asking(part: Part) -> Iterator[str]:
    """Yield the options by which an inferencer is asked to explain."""
    for key, value in part.options.items():
        if part.group == "inferencer" and "expla" in str(key) and value:
            yield str(key)


def _remote(policy: Policy, registry: Registry, parts: Sequence[Part]) -> Verdict:
    found = [a for part in parts for a in addresses.named_by(registry, part)]
    refused = [a for a in found if not policy.names("remote_inferencers", a)]
    if not refused:
        return Verdict("remote_inferencers", ", ".join(found) or "none is asked for")
    listed = [f"'{a}'" for a in (*policy.remote_inferencers, *refused)]
    return Verdict(
        "remote_inferencers",
        f"rows would be sent to {', '.join(refused)}",
        f"remote_inferencers: [{', '.join(listed)}]",
    )


def _rounds(policy: Policy, request: Request) -> Verdict:
    asked, most = request.task.get("rounds"), policy.most_rounds
    if request.model is not None or most is None or not isinstance(asked, int) or asked <= most:
        limit = "no limit" if most is None else f"at most {most}"
        return Verdict("most_rounds", f"{1 if request.model else asked or 'some'} rounds: {limit}")
    return Verdict(
        "most_rounds",
        f"{asked} rounds are asked for, {most} are allowed",
        f"most_rounds: {asked}",
    )


def judge_rows(policy: Policy, rows: int, client: str) -> Verdict:
    """Hold the number of a client's rows against the policy."""
    if rows >= policy.least_rows:
        return Verdict("least_rows", f"{client} has at least {policy.least_rows} rows")
    return Verdict(
        "least_rows",
        f"{client} has {rows} rows, {policy.least_rows} are needed to take part",
        f"least_rows: {max(rows, 1)}",
    )


def judge_summary(policy: Policy, rows: int, step: str) -> Verdict:
    """Hold the number of rows behind a summary for a step against the policy."""
    least = policy.smallest_count
    if rows >= least:
        return Verdict("smallest_count", f"at least {least} rows are behind the summary")
    why = f"{rows} rows are behind the summary for {step}, {least} are needed"
    return Verdict("smallest_count", why, f"smallest_count: {max(rows, 1)}")


def judge_action(policy: Policy, action: Action) -> Verdict:
    """Hold the kind of sub-task that instructions are part of against the policy."""
    kind, tasks = KINDS[action].value, policy.tasks
    if kind in tasks:
        return Verdict("tasks", f"{kind}: among [{', '.join(tasks)}]")
    why = f"a sub-task of kind {kind} is asked for"
    return Verdict("tasks", why, f"tasks: [{', '.join([*tasks, kind])}]")


def judge_work(policy: Policy, used: Usage, action: str) -> Verdict:
    """Hold what was worked for the controller lately against the policy."""
    within = f"in {policy.limits_hours:g} hours (limits_hours)"
    if policy.most_rounds is not None and used.rounds(action) + 1e-9 >= policy.most_rounds:
        why = f"{used.rounds(action):g} rounds of kind {action} were carried out {within}"
        return Verdict("most_rounds", why, f"most_rounds: {policy.most_rounds * 2}")
    if policy.most_seconds is not None and used.seconds >= policy.most_seconds:
        why = f"{used.seconds:.0f} seconds were worked {within}"
        return Verdict("most_seconds", why, f"most_seconds: {policy.most_seconds * 2:g}")
    return Verdict("most_rounds", "work is left")

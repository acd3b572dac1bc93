"""What of a reply leaves a site: figures of enough rows, of the kinds that its policy allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from aeros_core.inference.statistics import disclosure_of
from aeros_core.messages import Evaluation, Failure, Metrics, Predictions, Reply, Update
from aeros_core.roles.disclosure import Disclosure, disclosed_by
from aeros_flower.site.policy.policy import Policy
from aeros_flower.site.rules import Verdict

__all__ = ["Released", "judge_disclosures", "kind_of", "release"]


@dataclass(frozen=True, slots=True)
class Released:
    """A reply as it may leave, and why anything of it stays.

    Args:
        reply: What leaves.
        rows: Rows that are behind it.
        withheld: What stays, as verdicts of the rules that keep it.
    """

    reply: Reply
    rows: int
    withheld: tuple[Verdict, ...] = ()


def judge_disclosures(policy: Policy, parts: Mapping[str, object]) -> Verdict:
    """Hold what parts declare to send against the kinds that a policy allows.

    Args:
        policy: Of the site.
        parts: Trainer and fitted steps by their keys in the task.
    """
    rule = "disclosures"
    allowed = allowed_kinds(policy)
    refused = {n: disclosed_by(part) - allowed for n, part in parts.items()}
    refused = {name: kinds for name, kinds in refused.items() if kinds}
    listed = ", ".join(sorted(allowed))
    if not refused:
        return Verdict(rule, f"{', '.join(parts) or 'nothing'}: among [{listed}]")
    told = "; ".join(f"{name} sends {', '.join(sorted(k))}" for name, k in refused.items())
    more = sorted(allowed.union(*refused.values()))
    return Verdict(rule, f"{told}; [{listed}] are allowed", f"{rule}: [{', '.join(more)}]")


def allowed_kinds(policy: Policy) -> frozenset[Disclosure]:
    """Return the kinds of information that may leave by a policy."""
    more = {Disclosure.predictions} if policy.predictions else set()
    more |= {Disclosure.explanations} if policy.explanations else set()
    more |= {Disclosure.categories} if policy.categories else set()
    return policy.disclosures | more


def release(policy: Policy, reply: Reply, rows: Callable[[str], int]) -> Released:
    """Return what of a reply may leave; a `Failure` where nothing may.

    Args:
        policy: Of the site.
        reply: As the task's parts made it.
        rows: Returns how many rows a client has.
    """
    if isinstance(reply, Failure):
        return Released(reply, 0)
    count = min(reply.examples, rows(reply.node))
    if count < policy.smallest_count:
        why = f"{count} rows are behind it, {policy.smallest_count} are needed"
        verdict = Verdict("smallest_count", why, f"smallest_count: {max(count, 1)}")
        return Released(Failure(reply.node, reply.round, verdict.rule), count, (verdict,))
    metrics, withheld = _metrics(policy, reply.metrics, count)
    if isinstance(reply, Predictions) and reply.outputs and not policy.predictions:
        verdict = Verdict("predictions", "one prediction a row would leave", "predictions: true")
        return Released(replace(reply, metrics=metrics, outputs={}), count, (*withheld, verdict))
    return Released(replace(reply, metrics=metrics), count, withheld)


def _metrics(policy: Policy, metrics: Metrics, rows: int) -> tuple[Metrics, tuple[Verdict, ...]]:
    """Return the metrics whose kind is allowed, and which are behind enough rows."""
    allowed, sent, withheld = allowed_kinds(policy), {}, []
    for name, value in metrics.items():
        kind = disclosure_of(name)
        few = name.startswith("share.") and 0 < round(value * rows) < policy.smallest_count
        if kind not in allowed:
            why = f"metric {name} is of kind {kind}"
            withheld.append(Verdict("disclosures", why, f"disclosures: [..., {kind}]"))
        elif few:
            why = f"metric {name} is of {round(value * rows)} rows"
            withheld.append(Verdict("smallest_count", why, "smallest_count: 1"))
        else:
            sent[name] = value
    return sent, tuple(withheld)


def kind_of(reply: Reply) -> str:
    """Return what a reply is called in the log."""
    kinds = {Update: "update", Evaluation: "evaluation", Predictions: "scores"}
    return kinds.get(type(reply), "failure")

"""Says what a task would be allowed at a site: ``aeros executor --policy FILE --check WORD…``.

The task is composed here, from the words of ``aeros run``, and the executor's data are loaded;
no controller is needed, and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aeros_core.config import lockfile, store
from aeros_core.errors import AerosError
from aeros_core.plugins.registry import Registry
from aeros_flower.executor.preparation import prepared
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.site import release, rules
from aeros_flower.site.policy.policy import Policy
from aeros_flower.site.rules import Request, Verdict

__all__ = ["requested", "verdicts"]


def requested(registry: Registry, words: Sequence[str]) -> Request:
    """Return what a controller would ask an executor for, from the words of ``aeros run``."""
    from aeros_core.config import build
    from aeros_core.inference import federated

    with store.preserved_store():
        cfg = store.load([lockfile.spelled(word) for word in words], registry)
        data = store.plain(cfg)
        task = build.task_of(cfg)
    if not task.infers:
        return Request(_asked(data, "trainer"))
    parts = build.build(cfg, registry).parts
    return Request(_asked(data, "inferencer"), federated.model_of(task, parts))


def _asked(data: Mapping[str, Any], worker: str) -> dict[str, Any]:
    made = {name: data.get(name) for name in ("task", "transformer", worker)}
    return made | {"collector": {"codec": (data.get("collector") or {}).get("codec")}}


def verdicts(
    place: ExecutorInfo, policy: Policy, request: Request, registry: Registry
) -> list[Verdict]:
    """Return what each rule says, those about data included where the task gets as far."""
    found = rules.judge_task(policy, request, registry)
    return [*found, *_limits(policy), *_of_data(place, policy, request, registry)]


def _limits(policy: Policy) -> list[Verdict]:
    """Return the limits that only the work itself can exceed."""
    within = f"in {policy.limits_hours:g} hours"
    limits = {
        "most_seconds": (policy.most_seconds, f"seconds {within}"),
        "most_memory_mb": (policy.most_memory_mb, "MiB"),
        "smallest_count": (policy.smallest_count, "rows behind each figure, or it stays"),
    }
    return [
        Verdict(rule, "no limit" if most is None else f"{most:g} {unit}")
        for rule, (most, unit) in limits.items()
    ]


def _of_data(
    place: ExecutorInfo, policy: Policy, request: Request, registry: Registry
) -> list[Verdict]:
    try:
        job = prepared(registry, place, policy, request)
    except AerosError as error:
        return [Verdict("data", error.asked, error.hint or "see the reason")]
    rows = [rules.judge_rows(policy, n, client) for client, n in job.fewest.items()]
    return [*rows, release.judge_disclosures(policy, job.sending)]

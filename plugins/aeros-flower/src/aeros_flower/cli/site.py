"""Prints what a site decides: ``aeros executor --check`` and ``--log``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aeros_core.plugins import discovery
from aeros_core.reporting.tables import table
from aeros_flower.executor import policy_check
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.site import log
from aeros_flower.site.loading import policy_of
from aeros_flower.site.policy import policy
from aeros_flower.system.network import say

__all__ = ["show_check", "show_log"]

_COLUMNS = (
    "time", "executor", "controller", "run", "task", "event", "rule", "kind", "bytes", "rows",
    "reference", "more",
)  # fmt: skip
_SHOWN = ("time", "executor", "run", "task", "event", "rule", "kind", "bytes", "rows", "reference")


def show_check(place: ExecutorInfo, words: Sequence[str]) -> int:
    """Print what each rule says of a task; return 0 if it would take part, 1 if it is refused.

    Raises:
        ConfigError: The words name what does not exist, or the policy cannot be used.
    """
    registry, allowed = discovery.discover(), policy_of(place)
    request = policy_check.requested(registry, words)
    found = policy_check.verdicts(place, allowed, request, registry)
    rows = [
        {
            "rule": verdict.rule,
            "verdict": "allowed" if verdict.allowed else "refused",
            "reason": verdict.reason,
            "allow it with": verdict.line,
        }
        for verdict in found
    ]
    print(table(rows, ["rule", "verdict", "reason", "allow it with"]))
    refused = [verdict.rule for verdict in found if not verdict.allowed]
    if refused:
        print(f"{place.name} takes no part in {request.name}: {', '.join(refused)}")
        print(f"  next: the lines above, in {allowed.location}")
        return 1
    print(f"{place.name} takes part in {request.name}")
    return 0


def show_log(file: Path | None, state: Path, *, as_json: bool) -> int:
    """Print the log that a policy names, or that of a state folder; return the exit code.

    Raises:
        ConfigError: There is none, or the policy cannot be used.
    """
    named = policy.read(file).log if file else None
    path, torn, rows = named or state / log.NAME, 0, list[Mapping[str, Any]]()
    for line in log.read(path):
        if line is None:
            torn += 1
        elif as_json:
            print(json.dumps(line))
        else:
            rows.append(_row(line))
    if not as_json:
        print(table(rows, list(_COLUMNS)))
    if torn:
        say(f"warning: {torn} lines of {path} are not whole, and were left out")
    return 0


def _row(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line for people; what controllers wrote into it moves no cursor."""
    rest = {k: v for k, v in line.items() if k not in (*_SHOWN, "address", "certificate")}
    row = {key: line.get(key, "") for key in _SHOWN}
    row["controller"] = f"{line.get('address', '')} {str(line.get('certificate', ''))[:16]}".strip()
    row["more"] = rest.pop("text", "") or ", ".join(f"{k}={v}" for k, v in rest.items())
    return {key: _printable(value) for key, value in row.items()}


def _printable(value: Any) -> Any:
    text = str(value)
    return value if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)

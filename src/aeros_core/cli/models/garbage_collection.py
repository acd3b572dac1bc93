"""The command ``aeros models gc``: versions go by rules, and what nothing names."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, cast

from aeros_core.cli import arguments
from aeros_core.errors import ConfigError
from aeros_core.reporting import text

if TYPE_CHECKING:
    from aeros_core.roles.repository import Repository, SupportsCollection

__all__ = ["add_options", "collect"]


def add_options(sub: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    sub.add_argument(
        "--hours", type=float, default=24.0,
        help="leave what is younger, it may be in the making (default: 24)",
    )  # fmt: skip
    sub.add_argument("--keep-last", type=int, default=0, help="versions of each model")
    sub.add_argument("--keep-best", type=int, default=0, help="versions of each model")
    sub.add_argument("--metric", default="accuracy", help="by which they are the best")
    sub.add_argument("--dry-run", action="store_true", help="show what would go, do nothing")


def collect(parsed: argparse.Namespace) -> int:
    """Remove versions by rules, and what nothing names."""
    from aeros_core.roles.repository import SupportsCollection

    repository, names = arguments.repository(parsed.words)
    if names or parsed.hours < 0:
        raise ConfigError(
            "aeros models gc takes no model and no negative age",
            hint="aeros models gc --hours 24 repository.option=value",
        )
    if not isinstance(repository, SupportsCollection):
        raise arguments.without(repository, "SupportsCollection", "remove what nothing names")
    versions = _retire(repository, parsed)
    removed = {} if parsed.dry_run else repository.collect(parsed.hours * 3600)
    if parsed.json:
        both = removed if versions is None else {"versions": versions, "blobs": removed}
        print(json.dumps(both, indent=2))
        return 0
    for name, gone in (versions or {}).items():
        told = ", ".join(f"{name}:{version}" for version in gone)
        print(f"{'would go' if parsed.dry_run else 'gone'}: {told}")
    if not parsed.dry_run:
        print(f"{text.counted(len(removed), 'blob')} removed, {sum(removed.values()):,} bytes")
    return 0


def _retire(
    repository: SupportsCollection, parsed: argparse.Namespace
) -> dict[str, list[int]] | None:
    """Take away what the rules do not keep; None where there are no rules."""
    from aeros_core.models import retention
    from aeros_core.roles.repository import Repository, SupportsRemoval

    if not (parsed.keep_last or parsed.keep_best or parsed.dry_run):
        return None
    rules = retention.Rules(parsed.keep_last, parsed.keep_best, parsed.metric)
    if not (isinstance(repository, SupportsRemoval) and isinstance(repository, Repository)):
        raise arguments.without(
            cast("Repository", repository), "SupportsRemoval", "remove versions"
        )
    infos = repository.models()
    needed = retention.unfinished(infos, repository.result)
    doomed = retention.doomed(infos, rules, needed)
    if parsed.dry_run:
        return doomed
    gone = {name: list(repository.remove(name, old)) for name, old in doomed.items()}
    return {name: old for name, old in gone.items() if old}

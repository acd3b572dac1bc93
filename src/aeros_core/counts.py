"""What something counts while it works, for whoever shows metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["Count"]


@dataclass(frozen=True, slots=True)
class Count:
    """A number at the moment it is asked for.

    Args:
        name: Name of the metric as Prometheus has it; of one that only grows it ends in
            ``_total``.
        what: What it is, in a few words.
        value: The number.
        labels: What tells it from others of its name.
    """

    name: str
    what: str
    value: float
    labels: Mapping[str, str] = field(default_factory=dict)

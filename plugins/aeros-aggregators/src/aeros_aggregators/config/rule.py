"""What every rule of the group ``collector`` takes."""

from __future__ import annotations

from dataclasses import dataclass, field

__all__ = [
    "Rule",
]


@dataclass
class Rule:
    """What every rule takes.

    Args:
        personal: Patterns (``*``, ``?``) of the names of tensors that stay on their node:
            it keeps its own values, and the rule has no part in them.
    """

    _target_: str = ""
    personal: list[str] = field(default_factory=list)

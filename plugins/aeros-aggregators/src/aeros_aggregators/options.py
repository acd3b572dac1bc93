"""Refuses options that no rule could work with."""

from __future__ import annotations

from aeros_core.options.ranges import check_range

__all__ = ["check_option"]


def check_option(name: str, value: float, good: bool, allowed: str) -> None:
    """Refuse the option ``name`` unless its value is ``good``.

    Raises:
        ConfigError: It is not.
    """
    option = f"collector.{name}"
    hint = f"{option}=<{allowed}>"
    check_range(option, value, good, allowed, provider="aeros-aggregators", hint=hint)

"""Refuses options that no rule could work with."""

from __future__ import annotations

from aeros_core.errors import ConfigError

__all__ = ["demand"]


def demand(name: str, value: float, good: bool, allowed: str) -> None:
    """Refuse the option ``name`` unless its value is ``good``.

    Raises:
        ConfigError: It is not.
    """
    if not good:
        raise ConfigError(
            f"collector.{name}={value} is not possible",
            exists=allowed,
            provider="aeros-aggregators",
            hint=f"collector.{name}=<{allowed}>",
        )

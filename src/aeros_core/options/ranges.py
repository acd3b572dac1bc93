"""Refuse values of options that are out of their range, in one wording."""

from __future__ import annotations

from aeros_core.errors import ConfigError

__all__ = ["check_range"]


def check_range(
    option: str, value: object, fits: bool, exists: str, *, provider: str = "", hint: str = ""
) -> None:
    """Refuse a value unless it fits.

    Args:
        option: The option as it is typed, ``trainer.epochs``.
        value: Its value.
        fits: Whether it is in range; false for NaN where it is a comparison.
        exists: The range, ``at least 1``.
        provider: The distribution that has the option.
        hint: What to type instead.

    Raises:
        ConfigError: It does not fit.
    """
    if not fits:
        raise ConfigError(
            f"{option} must be {exists}, got {value}", exists=exists, provider=provider, hint=hint
        )

"""Numbers and plain data as lines for people."""

from __future__ import annotations

from typing import Any

__all__ = ["counted", "page", "shown"]


def counted(number: int, noun: str) -> str:
    """Return for example ``1 file`` or ``1,234 files``."""
    return f"{number:,} {noun}{'s'[: number != 1]}"


def shown(noun: str, offset: int, number: int, total: int) -> str:
    """Return for example ``21 to 40 of 345 runs; --offset 40 shows the next``."""
    last = offset + number
    more = f"; --offset {last} shows the next" if number and last < total else ""
    here = f"{offset + 1:,} to {last:,}" if number else "none"
    return f"{here} of {counted(total, noun)}{more}"


def page(described: dict[str, Any]) -> str:
    """Return plain data as YAML, for people."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(described)).rstrip()

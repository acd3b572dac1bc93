from dataclasses import dataclass, field
from typing import Any, Literal

from aeros_core import hookimpl


@dataclass
class Odd:
    """An option."""

    _target_: str = "odd.Odd"
    how: int = 1


@hookimpl
def aeros_collectors() -> dict[str, Any]:
    """Offer it."""
    return {"marked": Odd}

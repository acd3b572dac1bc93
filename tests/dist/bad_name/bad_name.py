"""Offers an option whose name cannot be typed."""

from dataclasses import dataclass

from aeros_core import hookimpl


@dataclass
class Fine:
    _target_: str = "fine.Fine"


@hookimpl
def aeros_collectors():
    return {"Not Fine": Fine}

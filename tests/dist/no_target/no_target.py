"""Offers a dataclass that names no implementation."""

from dataclasses import dataclass

from aeros_core import hookimpl


@dataclass
class Aimless:
    trim: float = 0.0


@hookimpl
def aeros_collectors():
    return {"aimless": Aimless}

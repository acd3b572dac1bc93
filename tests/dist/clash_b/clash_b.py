"""Offers ``collector=twin``, as another distribution does."""

from dataclasses import dataclass

from aeros_core import hookimpl


@dataclass
class Twin:
    _target_: str = "clash_b.Twin"


@hookimpl
def aeros_collectors():
    return {"twin": Twin}

"""Offers a plain class."""

from aeros_core import hookimpl


class Plain:
    _target_ = "plain.Plain"


@hookimpl
def aeros_collectors():
    return {"plain": Plain}

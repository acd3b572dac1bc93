"""Fails when it is asked what it offers."""

from aeros_core import hookimpl


@hookimpl
def aeros_collectors():
    raise KeyError("colour")

"""Misspells a hook."""

from aeros_core import hookimpl


@hookimpl
def aeros_colectors():
    return {}

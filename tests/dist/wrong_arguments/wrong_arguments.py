"""Takes an argument that the hook does not have."""

from aeros_core import hookimpl


@hookimpl
def aeros_collectors(settings):
    return {}

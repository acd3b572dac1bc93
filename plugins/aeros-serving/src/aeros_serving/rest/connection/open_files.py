"""How many connections the limit of open files of this process leaves room for."""

from __future__ import annotations

import logging
import resource

__all__ = ["connections_within"]

_log = logging.getLogger(__name__)

OTHERS = 256
"""Files that a process has open besides connections, at most: models, logs, threads' pipes."""

FILES = 4
"""Files of a connection of each protocol: by gRPC one of the client and two between the guard and
gRPC."""


def connections_within(wanted: int) -> int:
    """Return how many connections may be open, and raise the limit of open files for them.

    The soft limit is raised as far as the hard one lets it; where that is not enough there are
    fewer connections, and the log says so.

    Args:
        wanted: Connections of the REST protocol; those of gRPC may be as many, of three files each.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = FILES * wanted + OTHERS
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return wanted
    fewer = max(1, (soft - OTHERS) // FILES)
    text = "serving.max_connections=%d needs %d open files, and the limit is %d: %d are taken"
    _log.warning(text, wanted, needed, soft, fewer)
    return fewer

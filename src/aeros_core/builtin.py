"""What the core itself offers; a plugin like any other."""

from __future__ import annotations

from dataclasses import dataclass

from aeros_core.hookspecs import hookimpl

__all__ = ["Local", "aeros_controllers"]


@dataclass
class Local:
    """All nodes of a task in this process, one after the other; no server, no port."""

    _target_: str = "aeros_core.controllers.local.LocalController"


@hookimpl
def aeros_controllers() -> dict[str, type]:
    """Offer ``controller=local``."""
    return {"local": Local}

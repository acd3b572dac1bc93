"""A task's algorithms among the plugins, while the task lasts."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aeros_algorithms.site import Site, folders
from aeros_core.plugins import discover
from aeros_core.registry import Registry

__all__ = ["registered"]


@contextmanager
def registered(site: Site, task: str) -> Iterator[Registry]:
    """Yield what is installed with a task's algorithms among it; afterwards they are gone.

    They come last on the path: none of them takes the place of a module of the node.
    """
    paths = [str(path) for path in folders(site, task)]
    sys.path.extend(paths)
    importlib.invalidate_caches()
    try:
        yield discover()
    finally:
        sys.path[:] = [path for path in sys.path if path not in paths]
        for name in [n for n, m in sys.modules.items() if _within(m, paths)]:
            del sys.modules[name]
        importlib.invalidate_caches()


def _within(module: object, paths: list[str]) -> bool:
    file = getattr(module, "__file__", None) or ""
    return any(Path(file).is_relative_to(path) for path in paths)

"""A task's algorithms among the plugins, while the task lasts."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from aeros_core.plugins.discovery import discover
from aeros_core.plugins.registry import Registry

__all__ = ["registered"]


@contextmanager
def registered(folders: Sequence[Path]) -> Iterator[Registry]:
    """Yield what is installed with these algorithms among it; afterwards they are gone.

    They come last on the path: none of them takes the place of a module of the node.

    Args:
        folders: What `policy.install` or `policy.fetch` returned a moment ago.
    """
    paths = [str(path.resolve()) for path in folders]
    sys.path.extend(paths)
    importlib.invalidate_caches()
    try:
        yield discover(delivered=paths)
    finally:
        sys.path[:] = [path for path in sys.path if path not in paths]
        for name in [n for n, m in sys.modules.items() if _within(m, paths)]:
            del sys.modules[name]
        importlib.invalidate_caches()


def _within(module: object, paths: list[str]) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and any(Path(file).is_relative_to(path) for path in paths)

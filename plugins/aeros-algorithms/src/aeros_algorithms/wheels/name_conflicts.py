"""What an algorithm would hide on its node, or be hidden by: it is refused instead."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

from packaging.utils import canonicalize_name

from aeros_algorithms.wheels.signed_statement import Refused
from aeros_algorithms.wheels.wheel import Wheel

__all__ = ["check"]


def check(wheel: Wheel, root: Path, beside: Sequence[Path]) -> None:
    """Make sure that a wheel brings no name that is taken.

    Args:
        wheel: The wheel.
        root: What is installed below here for other tasks does not count.
        beside: Folders of the other algorithms of the same task.

    Raises:
        Refused: The node, or another algorithm of the task, has a module, a distribution or
            a plugin of this name.
    """
    own = [path for path in sys.path if not Path(path or ".").resolve().is_relative_to(root)]
    paths = [*own, *map(str, beside)]
    importlib.invalidate_caches()
    for top in wheel.tops:
        if top in sys.stdlib_module_names or _found(top, paths):
            raise _taken(wheel, "module", top)
    for there in metadata.distributions(path=paths):
        if canonicalize_name(there.name or "") == wheel.name:
            raise _taken(wheel, "distribution", wheel.name)
        for entry in there.entry_points:
            if entry.group == "aeros" and entry.name in wheel.entry_points:
                raise _taken(wheel, "plugin", entry.name)


def _found(top: str, paths: Sequence[str]) -> bool:
    """Tell whether a module can be imported, without importing it; editable ones, too."""
    return any(finder.find_spec(top, paths) is not None for finder in sys.meta_path)


def _taken(wheel: Wheel, what: str, name: str) -> Refused:
    return Refused(
        f"{wheel.name}:{wheel.version} brings the {what} {name}, which is here already",
        hint="give it a name of its own",
    )

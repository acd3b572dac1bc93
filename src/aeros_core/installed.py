"""Find the entry points of installed distributions, whatever state their metadata are in."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import metadata
from importlib.metadata import Distribution, EntryPoint

__all__ = ["entry_points", "named", "unreadable", "whole"]


def entry_points(*, group: str) -> list[EntryPoint]:
    """Return the entry points of a group; distributions that cannot be read have none."""
    try:
        return list(metadata.entry_points(group=group))
    except Exception:  # one of them is damaged: each is looked at by itself
        return [entry for dist in _first() for entry in _of(dist) if entry.group == group]


def whole() -> bool:
    """Tell whether the entry points of all distributions can be read."""
    try:
        metadata.entry_points(group="aeros")
    except Exception:
        return False
    return True


def unreadable() -> list[tuple[str, str]]:
    """Return the names of distributions whose entry points cannot be read, and why."""
    found = []
    for dist in _first():
        try:
            list(dist.entry_points)
        except Exception as error:
            found.append((named(dist), f"{type(error).__name__}: {error}"))
    return found


def named(dist: Distribution | None) -> str:
    """Return the name of a distribution; its folder's where its metadata say none."""
    try:
        name = dist.name if dist else ""
    except Exception:  # the metadata cannot be decoded
        name = ""
    path = getattr(dist, "_path", None)
    return str(name or getattr(path, "name", "") or "?")


def _first() -> Iterator[Distribution]:
    """Yield each distribution once, as imports would find it."""
    seen = set()
    for dist in metadata.distributions():
        if (name := named(dist).lower().replace("_", "-")) not in seen:
            seen.add(name)
            yield dist


def _of(dist: Distribution) -> list[EntryPoint]:
    try:
        return list(dist.entry_points)
    except Exception:
        return []

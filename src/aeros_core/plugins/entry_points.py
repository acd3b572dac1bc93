"""Find the entry points of installed distributions, whatever state their metadata are in."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from functools import lru_cache
from importlib import metadata
from importlib.metadata import Distribution, EntryPoint

__all__ = ["entry_points", "named", "version"]


def entry_points(groups: Collection[str]) -> tuple[list[EntryPoint], list[tuple[str, str]]]:
    """Return the entry points of these groups, and the distributions that cannot be read.

    Returns:
        The entry points, and the name of each distribution whose entry points are damaged, with
        the reason.
    """
    try:
        everything = metadata.entry_points()
        return [entry for group in groups for entry in everything.select(group=group)], []
    except Exception:  # one of them is damaged: each is looked at by itself
        found = [entry for dist in _first() for entry in _of(dist) if entry.group in groups]
        return found, _unreadable()


def _unreadable() -> list[tuple[str, str]]:
    found = []
    for dist in _first():
        try:
            list(dist.entry_points)
        except Exception as error:
            found.append((named(dist), f"{type(error).__name__}: {error}"))
    return found


@lru_cache(maxsize=256)  # each look at a distribution parses its metadata
def named(dist: Distribution | None) -> str:
    """Return the name of a distribution; its folder's where its metadata say none."""
    try:
        name = dist.name if dist else ""
    except Exception:  # the metadata cannot be decoded
        name = ""
    path = getattr(dist, "_path", None)
    return str(name or getattr(path, "name", "") or "?")


def version(dist: Distribution | None) -> str:
    """Return the version of a distribution, ``?`` where its metadata do not say it."""
    try:
        return str(dist.version or "?") if dist else "?"
    except Exception:  # metadata without a version, or that cannot be decoded
        return "?"


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

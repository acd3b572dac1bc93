"""What an algorithm depends on: allowed, and installed already, or it is refused."""

from __future__ import annotations

import platform
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from aeros_algorithms.wheels.signed_statement import Refused
from aeros_algorithms.wheels.wheel import Wheel

__all__ = ["met", "read"]


def met(wheel: Wheel, allowed: frozenset[str]) -> None:
    """Make sure that a wheel needs nothing that is not allowed and here.

    Extras do not count. Nothing is ever fetched.

    Raises:
        Refused: It needs another Python, or a distribution that is not allowed, missing, of
            another version, or named by an address.
    """
    said = f"{wheel.name}:{wheel.version}"
    python, needed = read(wheel)
    if not python.contains(platform.python_version(), prereleases=True):
        raise Refused(f"{said} needs Python {python}", exists=platform.python_version())
    for line in needed:
        _allowed(said, line, allowed)


def read(wheel: Wheel) -> tuple[SpecifierSet, list[Requirement]]:
    """Return which Pythons a wheel runs on, and what it needs on this one.

    Raises:
        Refused: What it says of that is not understood.
    """
    try:
        python = SpecifierSet(str(wheel.metadata.get("Requires-Python", "")))
        python.contains(platform.python_version(), prereleases=True)
        lines = [Requirement(str(line)) for line in wheel.metadata.get_all("Requires-Dist") or []]
        needed = [x for x in lines if x.marker is None or x.marker.evaluate({"extra": ""})]
    except (ValueError, RecursionError) as error:  # also of numbers and brackets without end
        said = f"{wheel.name}:{wheel.version}"
        raise Refused(f"what {said} depends on cannot be read: {str(error)[:200]}") from error
    return python, needed


def _allowed(said: str, line: Requirement, allowed: frozenset[str]) -> None:
    name = canonicalize_name(line.name)
    if line.url or name not in {canonicalize_name(each) for each in allowed}:
        raise Refused(
            f"{said} depends on {line}, which is not allowed here",
            exists=f"allowed: {', '.join(sorted(allowed))}",
            hint=f"AEROS_ALGORITHMS_ALLOW={name}, if the node's owner agrees" * (not line.url),
        )
    try:
        here = metadata.version(name)
    except metadata.PackageNotFoundError as error:
        raise Refused(f"{said} depends on {line}, which is not installed here") from error
    if not line.specifier.contains(here, prereleases=True):
        raise Refused(f"{said} depends on {line}", exists=f"{name} {here}")

"""Whether a distribution takes this version of aeros-core."""

from __future__ import annotations

import re
from importlib.metadata import Distribution

from aeros_core.version import __version__

__all__ = ["unmet_requirement"]

_CORE = re.compile(r"aeros[-_.]+core(?![\w.-]*\w)", re.IGNORECASE)
_RANGE = re.compile(r"aeros-core *<(\d+(?:\.\d+)*) *, *>=(\d+(?:\.\d+)*)")
"""The range as wheels state it; `packaging`, which reads any other, takes long to import."""


def unmet_requirement(dist: Distribution | None) -> str | None:
    """Return the first requirement on aeros-core that this version does not meet.

    Args:
        dist: A distribution; None: one without metadata, which requires nothing.
    """
    for line in (dist.requires if dist else None) or []:
        if _CORE.match(line.strip()) and not _in_plain_range(line) and (unmet := _unmet(line)):
            return unmet
    return None


def _in_plain_range(line: str) -> bool:
    if not (found := _RANGE.fullmatch(line.strip())) or not re.fullmatch(r"[\d.]+", __version__):
        return False
    below, least, this = (_release(each) for each in (*found.groups(), __version__))
    return least <= this < below


def _release(version: str) -> tuple[int, ...]:
    """Return the numbers of a release without zeros at the end, as PEP 440 compares them."""
    numbers = [int(each) for each in version.split(".")]
    while numbers and not numbers[-1]:
        numbers.pop()
    return tuple(numbers)


def _unmet(line: str) -> str | None:
    from packaging.requirements import InvalidRequirement, Requirement

    try:
        asked = Requirement(line)
        counts = asked.marker is None or asked.marker.evaluate({"extra": ""})
    except (InvalidRequirement, ValueError):
        return f"{line.strip()[:200]}, which is not understood"
    if counts and not asked.specifier.contains(__version__, prereleases=True):
        return str(asked)
    return None

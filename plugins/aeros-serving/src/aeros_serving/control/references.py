"""Which version of a model a number or a tag means."""

from __future__ import annotations

from collections.abc import Sequence

from aeros_core.records import ModelInfo
from aeros_serving.protocol.errors import Unknown, short

__all__ = ["tags_of", "version_of"]

_SHOWN = 10
"""Versions that a message names: the newest."""


def version_of(name: str, infos: Sequence[ModelInfo], ref: str) -> int:
    """Return the version that a number or a tag means; ``latest`` is the newest.

    Raises:
        Unknown: There is no such version or tag.
    """
    return _numbered(name, infos, ref) if ref.isdecimal() else _tagged(name, infos, ref)


def _numbered(name: str, infos: Sequence[ModelInfo], version: str) -> int:
    for info in infos:
        if version.lstrip("0") == str(info.version):
            return info.version
    newest = ", ".join(str(info.version) for info in infos[-_SHOWN:])
    more = "…, " if len(infos) > _SHOWN else ""
    raise Unknown(f"model '{name}' has no version {version[:20]}; versions: {more}{newest}")


def _tagged(name: str, infos: Sequence[ModelInfo], tag: str) -> int:
    for info in infos:
        if tag in info.tags:
            return info.version
    if tag == "latest":
        return max(info.version for info in infos)
    raise Unknown(f"model '{name}' has no tag '{short(tag)}'; tags: {tags_of(infos)}")


def tags_of(infos: Sequence[ModelInfo]) -> str:
    """Return all tags of a model's versions, for a message."""
    return ", ".join(sorted({tag for info in infos for tag in info.tags})) or "none"

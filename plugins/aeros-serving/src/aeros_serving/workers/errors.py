"""Errors that pass from one process to another, as JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aeros_core.errors import AerosError
from aeros_serving.protocol.errors import Refused, Unavailable, refusal

__all__ = ["WorkerGone", "error_from_json", "error_to_json"]

_PARTS = ("asked", "exists", "provider", "hint")


class WorkerGone(Unavailable):
    """The process at the other end has ended."""

    def __init__(self, why: str = "a process of the server has ended; try again") -> None:
        super().__init__(why)


def _family(root: type[Exception]) -> Iterator[type[Exception]]:
    yield root
    for each in root.__subclasses__():
        yield from _family(each)


def error_to_json(error: Exception) -> dict[str, str]:
    """Return an error as JSON has it; one that is not foreseen is logged here."""
    if isinstance(error, AerosError):
        parts = {part: str(getattr(error, part)) for part in _PARTS}
        return {"type": type(error).__name__, **parts}
    refused = refusal(error)
    return {"type": type(refused).__name__, "text": str(refused)}


def error_from_json(data: Mapping[str, str]) -> Exception:
    """Return the error that `error_to_json` was given, or the nearest kind that is known."""
    if "text" in data:
        kinds = {each.__name__: each for each in _family(Refused)}
        return kinds.get(data["type"], Refused)(data["text"])
    known = {each.__name__: each for each in _family(AerosError)}
    made = known.get(data["type"], AerosError)
    return made(data["asked"], **{part: data[part] for part in _PARTS[1:]})

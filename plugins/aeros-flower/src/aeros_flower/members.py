"""An executor as the controller knows it, and what it may say of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aeros_core.elements import Description, InfrastructureElement
from aeros_flower import wire
from aeros_flower.parcel import WireError, of, size_of
from aeros_flower.rest import Rest

__all__ = ["Member", "introduced", "shown"]

_LONGEST_NAME = 255
"""Letters of a name, at most: what its clients keep lies in a folder called so."""

_MOST_EXAMPLES = 2**53
"""Examples that one client may say to have: as many as a float counts exactly."""

_LARGEST = 2**26
"""Bytes of all that an executor says of itself: the schema of a very wide table."""

_SHOWN = 500
"""Letters of what an executor says that a person is shown, at most."""


@dataclass(slots=True)
class Member:
    """An executor that can take part.

    Args:
        number: Flower's number of the node.
        name: Its name.
        own: Whether all its data are one client's, of its name.
        examples: How many that client has.
        versions: Versions of what is installed there.
        element: The machine it is on.
        problem: Why it cannot take part; empty if it can.
        rest: Whether it is left alone, having been lost or silent.
    """

    number: int
    name: str
    own: bool
    examples: int
    versions: Mapping[str, str]
    element: InfrastructureElement
    problem: str = ""
    rest: Rest = field(default_factory=Rest)
    told: Mapping[str, Any] = field(default_factory=dict)


def introduced(number: int, content: Any) -> Member:
    """Read what an executor says of itself when it is asked to prepare.

    Args:
        number: Flower's number of the node.
        content: The records of its answer.

    Raises:
        WireError: It refuses, with its reason; or something is missing, of another type or
            out of its range.
    """
    if (size := size_of(content)) > _LARGEST:
        raise WireError(f"{size} bytes, more than {_LARGEST}")
    try:
        return _read(number, wire.unpack_note(content, "prepared"))
    except WireError:
        raise
    except Exception as error:  # whatever is wrong with it is wrong with this one alone
        raise WireError(f"{type(error).__name__}: {error}") from error


def _read(number: int, told: Mapping[str, Any]) -> Member:
    element = dict(of(told.get("element"), dict, "element"))
    element["description"] = Description(**of(element.get("description"), dict, "description"))
    name, examples = of(told.get("name"), str, "name"), of(told.get("examples", 0), int, "examples")
    if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
        raise WireError(f"a name of {len(name)} letters, or of some that cannot be printed")
    if not 0 <= examples < _MOST_EXAMPLES:
        raise WireError(f"{examples:.3g} examples")
    return Member(
        number=number,
        name=name,
        own=of(told.get("own"), bool, "own"),
        examples=examples,
        versions=of(told.get("versions"), dict, "versions"),
        element=InfrastructureElement(**element),
        told=told,
    )


def shown(text: str) -> str:
    """Return what an executor says in one line of letters that can be printed, not too long."""
    line = "".join(letter if letter.isprintable() else "?" for letter in text[: _SHOWN + 1])
    return line if len(line) <= _SHOWN else f"{line[:_SHOWN]}…"

"""An executor as the controller knows it, and what it may say of itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from aeros_core.tasks.infrastructure import Description, InfrastructureElement
from aeros_flower.membership.backoff import Backoff
from aeros_flower.membership.self_description import bounded
from aeros_flower.protocol import messages
from aeros_flower.protocol.message_content import WireError, of, size_of

__all__ = ["ConnectedExecutor", "introduced"]

_LARGEST = 2**26
"""Bytes of all that an executor says of itself: the schema of a very wide table."""


@dataclass(slots=True)
class ConnectedExecutor:
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
    rest: Backoff = field(default_factory=Backoff)
    told: Mapping[str, Any] = field(default_factory=dict)


def introduced(number: int, content: Any) -> ConnectedExecutor:
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
        return _read(number, bounded(messages.unpack_note(content, "prepared")))
    except WireError:
        raise
    except Exception as error:  # whatever is wrong with it is wrong with this one alone
        raise WireError(f"{type(error).__name__}: {error}") from error


def _read(number: int, told: Mapping[str, Any]) -> ConnectedExecutor:
    element = dict(of(told.get("element"), dict, "element"))
    element["description"] = Description(**of(element.get("description"), dict, "description"))
    return ConnectedExecutor(
        number=number,
        name=of(told.get("name"), str, "name"),
        own=of(told.get("own"), bool, "own"),
        examples=of(told.get("examples", 0), int, "examples"),
        versions=of(told.get("versions"), dict, "versions"),
        element=InfrastructureElement(**element),
        told=told,
    )

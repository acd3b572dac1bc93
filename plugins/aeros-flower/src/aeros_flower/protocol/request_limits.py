"""What one message of a controller may ask of an executor; more is not read."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import httpx

from aeros_core.messages import Instruction
from aeros_flower.protocol.message_content import WireError

__all__ = ["LARGEST", "Bounded", "check_instructions", "check_names"]

_CLIENTS = 100_000
"""Clients that one message asks, at most."""

_FIGURES, _VECTORS, _PATTERNS = 1000, 64, 1000
"""Numbers, vectors and patterns of tensors that one client is told, at most."""

_LETTERS = 1000
"""Letters of a name or a pattern, at most."""

_LONGEST = 366 * 86400.0
"""Seconds of a deadline, at most."""

_ROUNDS, _SEEDS = 2**53, 2**128
"""Numbers of rounds and seeds are below."""

_ANSWER = 128 * 2**20
"""Bytes of one answer of HTTP: Flower cuts messages into objects of 100 MB at most."""


def _half_of_memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
    except (ValueError, OSError, AttributeError):
        return 2**34


LARGEST = max(_half_of_memory(), 2**28)
"""Bytes of one message, at most: half of this machine's memory, as they are held twice."""


def check_names(names: Iterable[str], most: int, what: str) -> None:
    """Refuse too many names, and names that are too long.

    Raises:
        WireError: Says which bound is passed.
    """
    count = 0
    for count, name in enumerate(names, 1):  # noqa: B007 - it is counted
        if len(name) > _LETTERS:
            raise WireError(f"a name of {len(name)} letters among its {what}, over {_LETTERS}")
    if count > most:
        raise WireError(f"{count} {what}, over {most}")


def check_instructions(instructions: Sequence[Instruction]) -> None:
    """Refuse a message that asks for nothing, for too much, or twice of the same client.

    Raises:
        WireError: Says which bound is passed.
    """
    names = {told.node for told in instructions}
    if not instructions or len(names) < len(instructions):
        twice = len(instructions) - len(names)
        raise WireError(f"{twice} clients are asked twice" if instructions else "names no client")
    check_names(names, _CLIENTS, "clients")
    first = instructions[0]
    if not 0 < first.round < _ROUNDS:
        raise WireError(f"round {first.round:.3g}, which is none")
    limit = first.deadline
    if limit is not None and not (math.isfinite(limit) and 0 < limit <= _LONGEST):
        raise WireError(f"a deadline of {limit:g} s: it has to be above 0, and a year at most")
    check_names(first.personal, _PATTERNS, "patterns of personal tensors")
    for told in instructions:
        check_names(told.scalars, _FIGURES, "numbers")
        check_names(told.vectors, _VECTORS, "vectors")
        if not 0 <= told.seed < _SEEDS:
            raise WireError("a seed that is none")


class Bounded(httpx.BaseTransport):
    """End an answer that is too long, or packed: its unpacked size is unknown.

    Args:
        inner: What carries requests.
    """

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Carry a request.

        Raises:
            httpx.RemoteProtocolError: The answer is packed, or too long.
        """
        request.headers["accept-encoding"] = "identity"
        response = self._inner.handle_request(request)
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise httpx.RemoteProtocolError("a packed answer, which was not asked for")
        response.stream = _Counted(response.stream)
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()


class _Counted(httpx.SyncByteStream):
    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for part in self._stream:
            size += len(part)
            if size > _ANSWER:
                raise httpx.RemoteProtocolError(f"an answer of more than {_ANSWER} bytes")
            yield part

    def close(self) -> None:
        self._stream.close()

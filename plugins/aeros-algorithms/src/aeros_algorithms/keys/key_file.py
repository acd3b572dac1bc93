"""Read the file of a public key: a last day or none, and the key; anything else is refused.

A line that is not understood may have been meant to end a key's time, so that no key is
taken from a file that has one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime
from itertools import zip_longest
from pathlib import Path

from aeros_core.errors import ConfigError

__all__ = ["FORM", "KeyFile", "parse"]

FORM = "'expires: 2027-12-31' or no such line, then the three lines that keygen writes"

_EXPIRES = re.compile(rb"expires: ([0-9]{4}-[0-9]{2}-[0-9]{2})")
_BODY = rb"[A-Za-z0-9+/]{59}="
"""44 bytes, an Ed25519 key in its wrapping (RFC 8410), in base 64."""

_KEY = (rb"-----BEGIN PUBLIC KEY-----", _BODY, rb"-----END PUBLIC KEY-----")
_LONGEST = 1000


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What the file of a public key says.

    Args:
        pem: The key.
        expires: Its last day; None: it has none.
    """

    pem: bytes
    expires: date | None


def parse(data: bytes, path: Path) -> KeyFile:
    """Return what a file of a public key says.

    Args:
        data: Its bytes.
        path: The file, for messages.

    Raises:
        ConfigError: Something in it is not exactly what such a file has.
    """
    if len(data) > _LONGEST:
        raise _strange(path, f"is no public key: it has {len(data):,} bytes")
    head, mark, rest = data.partition(_KEY[0])
    if not mark:
        raise _strange(path, f"is no public key: it has no line {_KEY[0].decode()}")
    lines = [*head.splitlines(keepends=True)]
    days = [_day(line, number, path) for number, line in enumerate(lines, 1)]
    key = (mark + rest).removesuffix(b"\n").split(b"\n")
    for line, form in zip_longest(key, _KEY, fillvalue=b""):
        if not form or not re.fullmatch(form, line):
            raise _strange(path, f"is no public key: {line[:60]!r} is not understood")
    if len(days) > 1 and min(days) >= datetime.now(UTC).date():
        raise _strange(path, "says twice when it expires")
    return KeyFile(b"\n".join(key) + b"\n", min(days, default=None))


def _day(line: bytes, number: int, path: Path) -> date:
    """Return the day that a line above the key says."""
    told = _EXPIRES.fullmatch(line.removesuffix(b"\n")) if line.endswith(b"\n") else None
    if told is None:
        raise _strange(
            path, f"does not say when it expires: line {number}, {line[:60]!r}, is not understood"
        )
    try:
        return date.fromisoformat(told.group(1).decode())
    except ValueError as error:
        raise _strange(path, f"does not say when it expires: {error}") from error


def _strange(path: Path, why: str) -> ConfigError:
    return ConfigError(f"{path} {why}", exists=FORM, hint=f"bring {path} from its owner again")

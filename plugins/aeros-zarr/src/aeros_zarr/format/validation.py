"""Decode JSON that anybody may have written, and validate it against a schema.

A schema is a `msgspec.Struct`: types are strict (true is no number, 1.0 is not an integer),
every field without a default has to be there, and fields that it does not name are ignored.
"""

from __future__ import annotations

import json
import re
import struct
from typing import Any

import msgspec

__all__ = ["FLOAT", "check", "decode"]

FLOAT = "$float64"
"""The key of a float that JSON has no word for, ``{"$float64": "7ff8000000000000"}``."""

_MARK = FLOAT.encode()
_EXPECTED = re.compile(r"Expected (?P<type>.+), got (?P<got>.+?)(?: - at `\$\.?(?P<at>.*)`)?")
_MISSING = re.compile(r"Object missing required field `(?P<name>.+?)`(?: - at `\$\.?(?P<at>.*)`)?")


def decode(data: bytes) -> Any:
    """Return the plain data of a JSON text; marked floats come back bit for bit.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
        struct.error: A marked float has not the bytes of one.
    """
    if _MARK in data:
        return json.loads(data, object_hook=_revive)
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:  # half of a surrogate pair, which `json` writes and reads
        return json.loads(data)


def check(value: object, schema: type[msgspec.Struct]) -> None:
    """Reject a value that does not have a schema.

    Raises:
        ValueError: It names the field and what it must be.
    """
    try:
        msgspec.convert(value, schema)
    except msgspec.ValidationError as error:
        raise ValueError(_message(str(error))) from error


def _message(said: str) -> str:
    if found := _MISSING.fullmatch(said):
        at, name = found["at"], found["name"]
        return f"its field '{f'{at}.{name}' if at else name}' is missing"
    if found := _EXPECTED.fullmatch(said):
        what = f"must be {found['type']}, got {found['got']}".replace("`", "")
        return f"its field '{found['at']}' {what}" if found["at"] else f"it {what}"
    return said


def _revive(value: dict[str, Any]) -> Any:
    if len(value) == 1 and FLOAT in value:
        return struct.unpack(">d", bytes.fromhex(value[FLOAT]))[0]
    return value

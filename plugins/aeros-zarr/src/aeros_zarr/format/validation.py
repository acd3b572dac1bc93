"""Decode untrusted JSON and validate it against a schema.

A schema is a `msgspec.Struct`: types are strict (true is not a number, 1.0 is not an integer),
fields without a default are required, and unknown fields are ignored.
"""

from __future__ import annotations

import json
import re
import struct
from typing import Any

import msgspec

__all__ = ["FLOAT", "check", "decode"]

FLOAT = "$float64"
"""Key that marks a NaN or infinity, ``{"$float64": "7ff8000000000000"}``."""

_MARK = FLOAT.encode()
_EXPECTED = re.compile(r"Expected (?P<type>.+), got (?P<got>.+?)(?: - at `\$\.?(?P<at>.*)`)?")
_MISSING = re.compile(r"Object missing required field `(?P<name>.+?)`(?: - at `\$\.?(?P<at>.*)`)?")


def decode(data: bytes) -> Any:
    """Decode a JSON text; marked floats are restored bitwise identical.

    Raises:
        ValueError: It is not JSON.
        RecursionError: It is nested too deeply.
        struct.error: A marked float does not have 8 bytes.
    """
    if _MARK in data:
        return json.loads(data, object_hook=_revive)
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:  # lone surrogates, which only `json` accepts
        return json.loads(data)


def check(value: object, schema: type[msgspec.Struct]) -> None:
    """Check that a value matches a schema.

    Raises:
        ValueError: It does not; the message names the field and the expected type.
    """
    try:
        msgspec.convert(value, schema)
    except msgspec.ValidationError as error:
        raise ValueError(_message(str(error))) from error


def _message(text: str) -> str:
    if found := _MISSING.fullmatch(text):
        at, name = found["at"], found["name"]
        return f"its field '{f'{at}.{name}' if at else name}' is missing"
    if found := _EXPECTED.fullmatch(text):
        what = f"must be {found['type']}, got {found['got']}".replace("`", "")
        return f"its field '{found['at']}' {what}" if found["at"] else f"it {what}"
    return text


def _revive(value: dict[str, Any]) -> Any:
    if len(value) == 1 and FLOAT in value:
        return struct.unpack(">d", bytes.fromhex(value[FLOAT]))[0]
    return value

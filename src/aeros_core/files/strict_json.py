"""JSON of which security depends: a name that stands there twice is refused.

`json` takes the last one, so that a line further up which somebody read and agreed to would
say nothing.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

__all__ = ["loads"]


def loads(text: str) -> Any:
    """Return what a text says.

    Raises:
        ValueError: It is not JSON, names something twice in one object, or holds NaN.
        RecursionError: It is nested too deep.
    """
    return json.loads(text, object_pairs_hook=_once, parse_constant=_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"'{name[:80]}' stands there twice")
        found[name] = value
    return found


def _constant(word: str) -> NoReturn:
    raise ValueError(f"{word} is not JSON")

"""Who says what in the text of a play."""

from __future__ import annotations

__all__ = ["speeches"]


def speeches(text: str) -> dict[str, str]:
    r"""Return all that each speaker says, speech behind speech.

    A speech is a line ``NAME:`` and the lines up to the next blank line.

    Args:
        text: The play, with ``\n`` as line end.
    """
    said: dict[str, list[str]] = {}
    for block in text.split("\n\n"):
        name, _, lines = block.strip("\n").partition("\n")
        if name.endswith(":") and lines:
            said.setdefault(name[:-1], []).append(lines)
    return {name: "\n".join(parts) for name, parts in said.items()}

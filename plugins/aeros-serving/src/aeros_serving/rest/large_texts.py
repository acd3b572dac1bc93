"""Arrays of texts in JSON, cut into pieces that are parsed one by one.

Brackets, commas and quotes may be part of a text, so a piece ends behind the comma of an element.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aeros_serving.protocol.interpreter import release_interpreter

__all__ = ["bare", "elements_of", "is_of_texts", "texts_end"]

PIECE = 16384
"""Bytes of a piece, unless a single text is longer."""

_INSIDE = rb'[^"\\]*+(?:\\.[^"\\]*+)*+'
_TEXT = re.compile(rb'"' + _INSIDE + rb'"', re.DOTALL)
_REST_OF_TEXT = re.compile(_INSIDE, re.DOTALL)
_OTHER = rb'[^"{}:\\,]*+'
"""What lies beside a text in its element: brackets and space, or a number where there is none."""

_ELEMENTS = re.compile(
    rb"(?:" + _OTHER + rb'(?:"' + _INSIDE + rb'"' + _OTHER + rb")?+,)*+", re.DOTALL
)
_BESIDE = re.compile(_OTHER)
_TOKEN = re.compile(rb'"' + _INSIDE + rb'"|[\[\]]', re.DOTALL)
_BRACKETS = re.compile(rb'("' + _INSIDE + rb'")|[\[\]]', re.DOTALL)
_FIRST = re.compile(rb'[\[ \t\r\n]*+"')


def is_of_texts(body: bytes, start: int) -> bool:
    """Return whether the array that begins at a place has a text as its first element."""
    return _FIRST.match(body, start) is not None


def bare(piece: bytes) -> bytes:
    """Return JSON with ``~``, which is in no other part of it, in the place of each text."""
    return _TEXT.sub(b"~", piece)


def elements_of(piece: bytes, structure: bytes) -> bytes:
    """Return the elements of a piece that may be nested, flat.

    Args:
        piece: Whole elements.
        structure: What `bare` makes of it.
    """
    if b"[" not in structure and b"]" not in structure:
        return piece.rstrip(b" \t\r\n").removesuffix(b",")
    if not structure.translate(None, b"~[], \t\r\n"):  # texts alone, which is quicker
        return b",".join(_TEXT.findall(piece))
    return _BRACKETS.sub(rb"\1", piece).rstrip(b" \t\r\n").removesuffix(b",")


def texts_end(body: bytes, start: int) -> tuple[list[int], int] | None:
    """Return where the pieces of an array of texts end, and the number of its elements.

    Args:
        body: The JSON.
        start: Where the array begins.

    Returns:
        The ends of the pieces, the last of them that of the array; None: it has no end, or holds
        objects.
    """
    ends: list[int] = []
    depth, commas = 0, 0
    for place, end in _pieces(body, start):
        release_interpreter()
        structure = bare(body[place:end])
        change = structure.count(b"[") - structure.count(b"]")
        if depth + change <= 0:
            ends.append(_closing(body, place, end, depth))
            return ends, commas + bare(body[place : ends[-1]]).count(b",") + 1
        if not structure.endswith(b","):  # no array: to look on might take long, again and again
            return None
        depth, commas = depth + change, commas + structure.count(b",")
        ends.append(end)
    return None


def _pieces(body: bytes, place: int) -> Iterator[tuple[int, int]]:
    """Yield the beginning and the end of one piece after the other, of whole elements each."""
    while place < len(body):
        match = _ELEMENTS.match(body, place, place + PIECE)
        end = match.end() if match else place
        if end == place:  # the last element, or a long one
            end = _element_end(body, place)
        if end == place:
            return
        yield place, end
        place = end


def _element_end(body: bytes, place: int) -> int:
    """Return where an element ends, its comma included; its beginning if it has no end."""
    end = _beside(body, place)
    if body[end : end + 1] == b'"':
        closed = _text_end(body, end + 1)
        if closed is None:
            return place
        end = _beside(body, closed)
    return end + 1 if body[end : end + 1] == b"," else end


def _beside(body: bytes, place: int) -> int:
    match = _BESIDE.match(body, place)
    return match.end() if match else place


def _text_end(body: bytes, place: int) -> int | None:
    """Return where a text ends of which the quote at its beginning is read."""
    while place < len(body):
        match = _REST_OF_TEXT.match(body, place, place + PIECE)
        place = match.end() if match else place
        if body[place : place + 1] == b'"':
            return place + 1
        if body[place : place + 1] == b"\\":  # an escape at the end of what was looked at
            place += 2
    return None


def _closing(body: bytes, place: int, end: int, depth: int) -> int:
    """Return where in a piece the array ends."""
    for token in _TOKEN.finditer(body, place, end):
        depth += {b"[": 1, b"]": -1}.get(token[0], 0)
        if depth <= 0 and token[0] == b"]":
            return token.end()
    return end

"""What a signature is put under: which bytes are which version of which algorithm."""

from __future__ import annotations

import hashlib
import json
import re

from aeros_core.errors import RepositoryError
from aeros_core.records import Algorithm

__all__ = ["Refused", "canonical", "fits", "lock_of"]

_PREFIX = b"aeros algorithm 1\n"
"""Nothing else that is ever signed with such a key begins so."""

_FORMS = {
    "name": re.compile(r"[a-z0-9]+(-[a-z0-9]+)*"),
    "version": re.compile(r"[0-9][a-z0-9.]{0,63}"),
    "sha256": re.compile(r"[0-9a-f]{64}"),
    "key": re.compile(r"[0-9a-f]{64}"),
}


class Refused(RepositoryError):
    """An algorithm that a node does not take."""


def canonical(algorithm: Algorithm) -> bytes:
    """Return the bytes that are signed: one JSON object, sorted, in ASCII, behind a prefix.

    Raises:
        Refused: A field has another form than the one that is signed.
    """
    for field, form in _FORMS.items():
        value = getattr(algorithm, field)
        if not (isinstance(value, str) and form.fullmatch(value)):
            raise Refused(
                f"{value!r} cannot be the {field} of an algorithm",
                hint="the name in lower case with '-', the version without '+' and '!'",
            )
    if type(algorithm.size) is not int or algorithm.size < 0:
        raise Refused(f"{algorithm.size!r} cannot be the size of an algorithm")
    said = {field: getattr(algorithm, field) for field in (*_FORMS, "size")}
    return _PREFIX + json.dumps(said, sort_keys=True, separators=(",", ":")).encode("ascii")


def fits(algorithm: Algorithm, wheel: bytes) -> None:
    """Make sure that these bytes are the ones that a statement speaks of.

    Raises:
        Refused: They are not.
    """
    if len(wheel) != algorithm.size or hashlib.sha256(wheel).hexdigest() != algorithm.sha256:
        raise Refused(
            f"the wheel of {algorithm.name}:{algorithm.version} is not the one that was signed",
            exists=f"signed: {algorithm.size:,} bytes, SHA-256 {algorithm.sha256}",
            hint="aeros models verify finds what is damaged; push it again",
        )


def lock_of(algorithm: Algorithm) -> dict[str, str]:
    """Return what a lock file says of an algorithm."""
    return {"version": algorithm.version, "sha256": algorithm.sha256}

"""How long a key is good for: until it expires, or somebody revokes it.

A site decides for itself. ``revoked.json`` in its folder of keys lists what was revoked
there; a line ``expires: 2027-12-31`` above the key in a ``.pub`` file ends its time, after
that day by UTC. A wheel does not outlive its key: nobody can tell when it was signed.
"""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from aeros_algorithms import checksums
from aeros_algorithms.keys import ed25519, key_file
from aeros_algorithms.keys.trust_folder import check_owned
from aeros_algorithms.wheels.signed_statement import Refused
from aeros_core.errors import ConfigError
from aeros_core.files import strict_json

__all__ = ["Revocation", "Standing", "check", "revocations", "revoke", "standings"]

_FILE = "revoked.json"
_ID = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Revocation:
    """Since when a key counts for nothing.

    Args:
        since: The day, ISO 8601 in UTC.
        why: What was said of it.
    """

    since: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """What a site makes of a key.

    Args:
        key: Its id.
        file: The file that it lies in; empty for one that was revoked and is not there.
        expires: Its last day, empty for none.
        status: ``trusted``, ``expired`` or ``revoked``.
        why: Since when and why it was revoked.
    """

    key: str
    file: str
    expires: str
    status: str
    why: str


def check(folder: Path, key: str) -> None:
    """Make sure that a key was not revoked here, and has not expired.

    Raises:
        Refused: It was, or it has.
        ConfigError: The site's keys, or what it revoked, cannot be read.
    """
    if revoked := revocations(folder).get(key):
        raise Refused(
            f"the key {key} was revoked here on {revoked.since}{_because(revoked)}",
            hint="ask for a version that is signed by another key",
        )
    for path, each in ed25519.files(folder):
        ends = _expires(path)
        if each == key and ends and _today() > ends:
            raise Refused(
                f"the key {key} has expired: its last day was {ends}",
                hint=f"ask its owner for a new key; it goes where {path} is",
            )


def revoke(folder: Path, key: str, why: str = "") -> Revocation:
    """Let a key count for nothing from now on, whether its file is here or not.

    Returns:
        The revocation; the first one, if it was revoked before.

    Raises:
        ConfigError: This is no id of a key, or the folder cannot be written.
    """
    if not _ID.fullmatch(key):
        raise ConfigError(
            f"{key!r} is no key", exists="64 hexadecimal digits", hint="aeros algorithms keys"
        )
    before = revocations(folder)
    revoked = before.get(key) or Revocation(_today().isoformat(), why)
    _write(folder, {**before, key: revoked})
    return revoked


def revocations(folder: Path) -> dict[str, Revocation]:
    """Return what was revoked, by the id of the key.

    Raises:
        ConfigError: The list cannot be read, or anybody may write it: then no key is good.
    """
    path = folder / _FILE
    try:
        text = path.read_text(encoding="utf-8")
        check_owned(path)
        found = dict(_entry(key, said) for key, said in strict_json.loads(text).items())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(
            f"{path} cannot be read, so nobody knows which keys were revoked: {error}",
            exists='{"KEY": {"since": "2026-01-31", "why": "…"}}',
            hint="bring it back from a copy",
        ) from error
    return found


def standings(folder: Path) -> list[Standing]:
    """Return every key that lies in a folder or was revoked there.

    Raises:
        ConfigError: They cannot be read.
    """
    revoked = revocations(folder)
    found = [_standing(path, key, revoked) for path, key in ed25519.files(folder)]
    gone = revoked.keys() - {each.key for each in found}
    return found + [Standing(key, "", "", "revoked", _told(revoked[key])) for key in sorted(gone)]


def _entry(key: str, said: dict[str, str]) -> tuple[str, Revocation]:
    """Read an entry; one that somebody has written by hand may lack its checksum."""
    told = {name: value for name, value in said.items() if name != "sum"}
    revoked = Revocation(**told)
    if not (_ID.fullmatch(key) and type(revoked.since) is type(revoked.why) is str):
        raise ValueError(f"{key!r}: {said}")
    if date.fromisoformat(revoked.since).isoformat() != revoked.since:
        raise ValueError(f"{revoked.since!r} is not a day as 2026-01-31")
    if "sum" in said and said["sum"] != checksums.of(key, revoked.since, revoked.why):
        raise ValueError(f"the checksum of {key} is wrong")
    return key, revoked


def _standing(path: Path, key: str, revoked: Mapping[str, Revocation]) -> Standing:
    ends = _expires(path)
    said = ends.isoformat() if ends else ""
    if key in revoked:
        return Standing(key, path.name, said, "revoked", _told(revoked[key]))
    return Standing(key, path.name, said, "expired" if ends and _today() > ends else "trusted", "")


def _expires(path: Path) -> date | None:
    """Return the last day of a key; None: it has none."""
    try:
        return key_file.parse(path.read_bytes(), path).expires
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from error


def _today() -> date:
    return datetime.now(UTC).date()


def _because(revoked: Revocation) -> str:
    return f": {revoked.why}" if revoked.why else ""


def _told(revoked: Revocation) -> str:
    return f"{revoked.since}{_because(revoked)}"


def _write(folder: Path, revoked: Mapping[str, Revocation]) -> None:
    aside = folder / f".{secrets.token_hex(8)}"
    said = {
        key: asdict(each) | {"sum": checksums.of(key, each.since, each.why)}
        for key, each in sorted(revoked.items())
    }
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        with aside.open("w", encoding="utf-8") as file:
            file.write(json.dumps(said, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        aside.replace(folder / _FILE)
    except OSError as error:
        raise ConfigError(
            f"{folder / _FILE} cannot be written: {error.strerror}", hint="--keys FOLDER"
        ) from error

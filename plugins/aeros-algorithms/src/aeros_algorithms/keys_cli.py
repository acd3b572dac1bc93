"""The commands ``aeros algorithms keygen|keys|revoke``: keys, and what a site makes of them."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from aeros_algorithms.keys import ed25519, revocation
from aeros_algorithms.keys.trust_folder import announce, of_keys
from aeros_algorithms.policy import AlgorithmPolicy
from aeros_core.errors import ConfigError
from aeros_core.reporting.tables import table

__all__ = ["add_keys"]

_LONGEST = 36500
"""Days that a key may be good for, at most."""


def add_keys(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], site: AlgorithmPolicy
) -> None:
    """Add the verbs that are about keys.

    Args:
        verbs: The verbs of ``aeros algorithms``.
        site: Whose folder of keys is meant where none is named.
    """
    keygen = verbs.add_parser("keygen", help="make a key pair, FILE and FILE.pub")
    keygen.add_argument("words", nargs="*", metavar="FILE")
    keygen.add_argument("--days", type=int, help="days that it is good for (no end)")
    keygen.set_defaults(command=_keygen)
    listed = verbs.add_parser("keys", help="which keys are trusted, expired or revoked here")
    listed.set_defaults(command=_keys)
    revoke = verbs.add_parser("revoke", help="trust a key no more, whoever brings it back")
    revoke.add_argument("words", nargs="*", metavar="KEY|FILE.pub")
    revoke.add_argument("--why", default="", help="what is said where it is refused")
    revoke.set_defaults(command=_revoke)
    for parser in (listed, revoke):
        parser.add_argument("--keys", type=Path, default=site.keys, help=f"folder ({site.keys})")
    for parser in (keygen, listed, revoke):
        parser.add_argument("--json", action="store_true", help="as JSON")


def _keygen(parsed: argparse.Namespace) -> int:
    path = Path(_one(parsed, "keygen", "one file", "FILE"))
    key = ed25519.generate(path, _last(parsed.days))
    if parsed.json:
        print(json.dumps({"key": key, "private": str(path), "public": f"{path}.pub"}, indent=2))
        return 0
    print(f"{path} is private; {path}.pub goes into the folder of keys of nodes that trust it")
    print(f"key {key}")
    print(f"to trust it here: mkdir -p {of_keys()} && cp {path}.pub {of_keys()}")
    return 0


def _last(days: int | None) -> date | None:
    if days is None:
        return None
    if not 1 <= days <= _LONGEST:
        raise ConfigError(f"--days {days} is not possible", exists=f"1 to {_LONGEST}")
    return datetime.now(UTC).date() + timedelta(days=days)


def _keys(parsed: argparse.Namespace) -> int:
    announce(parsed.keys)
    rows = [asdict(each) for each in revocation.standings(parsed.keys)]
    if parsed.json:
        print(json.dumps(rows, indent=2))
    else:
        print(table(rows, ["key", "file", "expires", "status", "why"]))
    return 0


def _revoke(parsed: argparse.Namespace) -> int:
    word = _one(parsed, "revoke", "one key", "KEY|FILE.pub")
    key = ed25519.identity(ed25519.public(Path(word))) if word.endswith(".pub") else word
    announce(parsed.keys)
    revoked = revocation.revoke(parsed.keys, key, parsed.why)
    if parsed.json:
        print(json.dumps({"key": key, **asdict(revoked)}, indent=2))
    else:
        print(f"{key} is revoked since {revoked.since}: what it signed is refused here")
    return 0


def _one(parsed: argparse.Namespace, verb: str, what: str, form: str) -> str:
    if len(parsed.words) != 1 or "=" in parsed.words[0]:
        raise ConfigError(
            f"aeros algorithms {verb} takes {what}", hint=f"aeros algorithms {verb} {form}"
        )
    return str(parsed.words[0])

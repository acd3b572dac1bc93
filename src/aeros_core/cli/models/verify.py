"""The command ``aeros models verify``."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from aeros_core.cli import arguments
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.reporting import text
from aeros_core.reporting.tables import table

if TYPE_CHECKING:
    from aeros_core.roles.repository import Repository

__all__ = ["add_options", "verify"]


def add_options(parser: argparse.ArgumentParser) -> None:
    """Give the command its options."""
    parser.add_argument(
        "--heal", action="store_true", help="write what is damaged again from other copies"
    )
    parser.add_argument(
        "--heal-from", action="append", default=[], metavar="FOLDER|OVERRIDES",
        help="another copy of the repository, too: its folder, or for instance"
        " 'repository=s3 repository.bucket=copy'",
    )  # fmt: skip


def verify(parsed: argparse.Namespace) -> int:
    """Read and hash what is stored, heal what is damaged if asked, and say what is wrong.

    Raises:
        RepositoryError: Something is damaged.
    """
    from aeros_core.roles.repository import SupportsVerify

    repository, names = arguments.repository(parsed.words)
    if len(names) > 1:
        raise ConfigError(
            "aeros models verify takes one model, or none for everything",
            hint="aeros models verify [NAME[:VERSION]]",
        )
    if not isinstance(repository, SupportsVerify):
        raise arguments.without(repository, "SupportsVerify", "check itself")
    name, version = arguments.named(names[0]) if names else (None, None)
    healed = _healed(repository, name, version, parsed)
    files = repository.verify(name, version)
    damaged = {file: what for file, what in files.items() if what}
    if parsed.json:
        told = {"files": len(files), "damaged": damaged}
        print(json.dumps(told | ({"healed": healed} if parsed.heal else {}), indent=2))
    elif damaged:
        rows = [{"file": file, "damage": what} for file, what in damaged.items()]
        print(table(rows, ["file", "damage"]))
    else:
        print(f"{text.counted(len(files), 'file')} verified, none is damaged")
    if damaged:
        raise RepositoryError(
            f"{len(damaged)} of {text.counted(len(files), 'file')} "
            f"{'is' if len(damaged) == 1 else 'are'} damaged",
            hint="aeros models verify --heal-from COPY, another copy of the repository"
            if parsed.heal
            else "aeros models verify --heal, or --heal-from COPY, a copy of the repository",
        )
    return 0


def _healed(
    repository: Repository, name: str | None, version: str | None, parsed: argparse.Namespace
) -> dict[str, str]:
    """Heal what is damaged if that is asked for; return where each file came from."""
    from aeros_core.roles.repository import SupportsHealing

    parsed.heal = parsed.heal or bool(parsed.heal_from)
    if not parsed.heal:
        return {}
    if not isinstance(repository, SupportsHealing):
        raise arguments.without(repository, "SupportsHealing", "heal itself")
    others = [_copy(place) for place in parsed.heal_from]
    healed = dict(repository.heal(name, version, others))
    if not parsed.json:
        for file, place in healed.items():
            print(f"healed: {file} from {place}")
    return healed


def _copy(place: str) -> Repository:
    """Return the repository that ``--heal-from`` names, which has to hold something."""
    from aeros_core.roles.repository import SupportsAlgorithms

    folder = ["repository=zarr", f"repository.path={place}"]
    copy, _ = arguments.repository(place.split() if "=" in place else folder)
    kept = copy.runs() or copy.models()
    if not kept and not (isinstance(copy, SupportsAlgorithms) and copy.algorithms()):
        raise ConfigError(
            f"--heal-from {place} holds nothing of a repository",
            hint="--heal-from FOLDER, or --heal-from 'repository=s3 repository.bucket=COPY'",
        )
    return copy

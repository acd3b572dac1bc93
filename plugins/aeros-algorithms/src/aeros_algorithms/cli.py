"""The commands ``aeros algorithms push|list|verify|lock|install``; keys have their own."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from packaging.utils import InvalidWheelFilename, parse_wheel_filename
from packaging.version import InvalidVersion, Version

from aeros_algorithms.keys import ed25519
from aeros_algorithms.keys.trust_folder import announce
from aeros_algorithms.keys_cli import add_keys
from aeros_algorithms.policy import AlgorithmPolicy, allowed, fetch, verify
from aeros_algorithms.wheels import requirements, wheel
from aeros_algorithms.wheels.signed_statement import Refused, lock_of
from aeros_core.cli import arguments
from aeros_core.config import lockfile
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.records import Algorithm
from aeros_core.reporting import text
from aeros_core.reporting.tables import table
from aeros_core.roles.repository import SupportsAlgorithms

__all__ = ["add_algorithms"]


_VERBS = "keygen|keys|revoke|push|list|verify|lock|install"


def add_algorithms(parser: argparse.ArgumentParser) -> None:
    """Give the command ``aeros algorithms`` its verbs."""
    verbs = parser.add_subparsers(required=True, metavar=_VERBS)
    site = AlgorithmPolicy.here()
    add_keys(verbs, site)
    push = _verb(verbs, "push", _push, "DIST.whl", "sign a wheel and store it")
    listed = _verb(verbs, "list", _list, "[NAME …]", "every version, by name")
    checked = _verb(verbs, "verify", _verify, "[NAME[:VERSION] …]", "check what is stored")
    _verb(verbs, "lock", _lock, "NAME[:VERSION] …", "what a task is to hold nodes to, as JSON")
    installed = _verb(verbs, "install", _install, "", "install what a task's lock names, as a node")
    push.add_argument("--key", type=Path, required=True, help="the private key")
    for parser_ in (push, listed, checked):
        parser_.add_argument("--json", action="store_true", help="as JSON")
    for parser_ in (checked, installed):
        parser_.add_argument("--keys", type=Path, default=site.keys, help=f"folder ({site.keys})")
    installed.add_argument("--task", required=True, help="the task it is for")
    installed.add_argument("--lock", type=Path, required=True, help="the task's lock")
    installed.add_argument("--root", type=Path, default=site.root, help=f"where to ({site.root})")
    installed.add_argument(
        "--allow", action="append", default=[], metavar="NAME",
        help=f"what it may depend on beside {', '.join(sorted(site.allowed))}",
    )  # fmt: skip


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str, command: Callable[[argparse.Namespace], int], takes: str, help_: str,
) -> argparse.ArgumentParser:  # fmt: skip
    parser = verbs.add_parser(name, help=help_)
    parser.add_argument("words", nargs="*", metavar=f"{takes} repository.option=value".strip())
    parser.set_defaults(command=command)
    return parser


def _push(parsed: argparse.Namespace) -> int:
    repository, names = _repository(parsed)
    if len(names) != 1 or not names[0].endswith(".whl"):
        raise ConfigError(
            "aeros algorithms push takes one wheel",
            hint="aeros algorithms push DIST.whl --key FILE; python -m build makes a wheel",
        )
    key = ed25519.private(parsed.key)
    try:
        data = Path(names[0]).read_bytes()
    except OSError as error:
        raise ConfigError(
            f"{names[0]} cannot be read: {error.strerror}", hint="python -m build makes a wheel"
        ) from error
    found = _opened(names[0], data)
    digest = hashlib.sha256(data).hexdigest()
    unsigned = Algorithm(found.name, found.version, digest, len(data), key="", signature="")
    algorithm = ed25519.sign(unsigned, key)
    repository.store_algorithm(algorithm, data)
    if parsed.json:
        print(json.dumps(asdict(algorithm), indent=2))
    else:
        print(f"{found.name}:{found.version} is stored, signed by {algorithm.key}")
    return 0


def _opened(file: str, data: bytes) -> wheel.Wheel:
    try:
        found = wheel.opened(data, wheel.Limits())
        requirements.read(found)
        _check_name(file, found)
    except Refused as error:
        raise Refused(
            f"{file} is not stored: {error.asked}", exists=error.exists, hint=error.hint
        ) from error
    return found


def _check_name(file: str, found: wheel.Wheel) -> None:
    """Hold the file's name against the wheel, where it is one as build tools give it."""
    try:
        name, version, _, tags = parse_wheel_filename(Path(file).name)
    except (InvalidWheelFilename, InvalidVersion):
        return
    if (str(name), str(version)) != (found.name, found.version):
        raise Refused(f"the wheel is {found.name}:{found.version}, and its file's name another's")
    wheel.check_tags([str(tag) for tag in tags])


def _list(parsed: argparse.Namespace) -> int:
    repository, names = _repository(parsed)
    wanted: list[str | None] = [*names] or [None]
    found = {name: repository.algorithms(name) for name in wanted}
    if missing := [name for name, versions in found.items() if name and not versions]:
        raise _not_stored(repository, missing[0], [])
    rows = [asdict(each) for versions in found.values() for each in versions]
    if parsed.json:
        print(json.dumps(rows, indent=2))
    else:
        print(table(rows, ["name", "version", "size", "sha256", "key"]))
    return 0


def _verify(parsed: argparse.Namespace) -> int:
    repository, names = _repository(parsed)
    site = AlgorithmPolicy(keys=parsed.keys, root=Path())
    announce(site.keys)
    ed25519.trusted(site.keys)
    chosen = _chosen(repository, names) if names else repository.algorithms()
    wrong = {f"{a.name}:{a.version}": _wrong(repository, site, a) for a in chosen}
    refused = {name: why for name, why in wrong.items() if why}
    if parsed.json:
        print(json.dumps({"algorithms": len(wrong), "refused": refused}, indent=2))
    elif refused:
        rows = [{"algorithm": name, "why": why} for name, why in refused.items()]
        print(table(rows, ["algorithm", "why"]))
    else:
        print(f"{text.counted(len(wrong), 'algorithm')} verified, all by trusted keys")
    if refused:
        raise RepositoryError(f"{len(refused)} of {len(wrong)} algorithms would be refused")
    return 0


def _wrong(repository: SupportsAlgorithms, site: AlgorithmPolicy, algorithm: Algorithm) -> str:
    try:
        verify(site, *repository.algorithm(algorithm.name, algorithm.version))
    except RepositoryError as error:
        return error.asked
    return ""


def _lock(parsed: argparse.Namespace) -> int:
    repository, names = _repository(parsed)
    if not names:
        raise ConfigError(
            "aeros algorithms lock takes algorithms", hint="aeros algorithms lock NAME[:VERSION] …"
        )
    print(json.dumps({a.name: lock_of(a) for a in _chosen(repository, names)}, indent=2))
    return 0


def _install(parsed: argparse.Namespace) -> int:
    repository, names = _repository(parsed)
    if names:
        raise ConfigError(
            "aeros algorithms install takes what to install from the lock",
            hint="aeros algorithms install --task NAME --lock FILE",
        )
    site = AlgorithmPolicy(
        parsed.keys, parsed.root, AlgorithmPolicy.here().allowed | allowed(" ".join(parsed.allow))
    )
    announce(site.keys)
    for folder in fetch(site, parsed.task, lockfile.read(parsed.lock), repository):
        print(folder)
    return 0


def _repository(parsed: argparse.Namespace) -> tuple[SupportsAlgorithms, list[str]]:
    repository, names = arguments.repository(parsed.words)
    if not isinstance(repository, SupportsAlgorithms):
        raise arguments.without(repository, "SupportsAlgorithms", "keep algorithms")
    return repository, names


def _chosen(repository: SupportsAlgorithms, names: Sequence[str]) -> list[Algorithm]:
    """Return the named versions, the highest where none is named."""
    return [_one(repository, *arguments.named(name)) for name in names]


def _one(repository: SupportsAlgorithms, name: str, version: str | None) -> Algorithm:
    stored = {each.version: each for each in repository.algorithms(name)}
    if not stored or (version and version not in stored):
        raise _not_stored(repository, f"{name}{f':{version}' * bool(version)}", sorted(stored))
    return stored[version or max(stored, key=Version)]


def _not_stored(
    repository: SupportsAlgorithms, asked: str, versions: Sequence[str]
) -> RepositoryError:
    known = sorted({each.name for each in repository.algorithms()})
    return RepositoryError(
        f"algorithm '{asked}' is not stored",
        exists=", ".join(versions or known) or "none at all",
        hint="aeros algorithms list",
    )

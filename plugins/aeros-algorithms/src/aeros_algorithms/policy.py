"""A node's own rules for algorithms, and how one is installed by them for a task.

    <root>/versions.json              the highest version of each that was ever installed, and a
                                      checksum of the line
    <root>/<task>/<name>-<version>/   an algorithm, unpacked

Nothing is fetched and nothing is run: a wheel is checked and then unpacked file by file.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import Version

from aeros_algorithms import checksums
from aeros_algorithms.keys import ed25519, revocation
from aeros_algorithms.keys.trust_folder import KEYS, of_keys
from aeros_algorithms.wheels import name_conflicts, requirements, unpacked, wheel
from aeros_algorithms.wheels.signed_statement import Refused, fits
from aeros_core.errors import ConfigError
from aeros_core.files import strict_json
from aeros_core.records import Algorithm
from aeros_core.roles.repository import SupportsAlgorithms
from aeros_core.tasks.algorithm_pin import AlgorithmPin

__all__ = ["ALLOWED", "KEYS", "AlgorithmPolicy", "allowed", "fetch", "folders", "install", "verify"]

ALLOWED = frozenset({"aeros-core", "numpy"})
"""What an algorithm may depend on where a node says nothing else."""

ROOT = "AEROS_ALGORITHMS"
"""Environment variable: where algorithms are installed; else ``aeros-algorithms``."""

MORE = "AEROS_ALGORITHMS_ALLOW"
"""Environment variable: what algorithms may depend on beside `ALLOWED`, by commas."""

_DISTRIBUTION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_ELSE = f"{ROOT}=FOLDER in the environment installs them elsewhere"
_TASK = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class AlgorithmPolicy:
    """What a node allows.

    Args:
        keys: Folder of the public keys that it trusts, ``*.pub``.
        root: Folder below which algorithms are installed.
        allowed: Distributions that an algorithm may depend on; they are installed already.
        limits: How large an algorithm may be.
    """

    keys: Path
    root: Path
    allowed: frozenset[str] = ALLOWED
    limits: wheel.Limits = field(default_factory=wheel.Limits)

    @classmethod
    def here(cls) -> AlgorithmPolicy:
        """Return the rules of whoever runs this process, from its environment.

        A task, or a configuration that somebody sent, has no say in them.
        """
        told = os.environ.get
        root = told(ROOT) or "aeros-algorithms"
        return cls(of_keys(), Path(root), ALLOWED | allowed(told(MORE, "")))


def allowed(text: str) -> frozenset[str]:
    """Return the distributions that a list names, by commas or spaces.

    Raises:
        ConfigError: A word in it is the name of none.
    """
    names = text.replace(",", " ").split()
    if strange := [name for name in names if not _DISTRIBUTION.fullmatch(name)]:
        raise ConfigError(
            f"{MORE}: '{strange[0][:60]}' is not understood",
            exists="names of distributions without versions, by commas",
            hint=f"{MORE}=scipy,pandas",
        )
    return frozenset(names)


def verify(site: AlgorithmPolicy, algorithm: Algorithm, data: bytes) -> wheel.Wheel:
    """Check signature, hash and content of an algorithm; nothing is written.

    The content is not looked at before the signature and the hash are right.

    Raises:
        Refused: Something is not as it should be; it says what.
        ConfigError: The node's keys cannot be read.
    """
    revocation.check(site.keys, algorithm.key)
    ed25519.check(algorithm, ed25519.trusted(site.keys))
    fits(algorithm, data)
    found = wheel.opened(data, site.limits)
    if (found.name, found.version) != (algorithm.name, algorithm.version):
        raise Refused(
            f"{algorithm.name}:{algorithm.version} was signed, "
            f"but the wheel is {found.name}:{found.version}"
        )
    return found


def install(
    site: AlgorithmPolicy,
    task: str,
    lock: Mapping[str, AlgorithmPin],
    algorithm: Algorithm,
    data: bytes,
) -> Path:
    """Install an algorithm for a task; return its folder.

    The same one again is unpacked anew, unless every file is as it should be: another
    process of the task may be using it. A newer one takes the place of an older one.

    Args:
        site: The node's rules.
        task: Name of the task; its folder.
        lock: What the task wants, by the name of the algorithm.
        algorithm: The statement and its signature.
        data: The wheel.

    Raises:
        Refused: It is unsigned, altered, signed by a key that is not trusted, was revoked
            or has expired, not what the task's lock names, older than what the node has had,
            malformed or too large; it depends on what the node does not allow; or it would
            hide a module of the node. Nothing of it has been written.
        ConfigError: The task's name cannot be a folder, or the node's keys cannot be read.
    """
    if not _TASK.fullmatch(task):
        raise ConfigError(f"{task!r} is not a valid name of a task", hint="for instance digits-1")
    found = verify(site, algorithm, data)
    _locked(lock, algorithm)
    requirements.met(found, site.allowed)
    folder = site.root / task / f"{found.name}-{found.version}"
    with _alone(site):
        _check_place(folder.parent)
        _check_place(folder)
        _not_older(_floors(site), algorithm)
        others = folders(site, task)
        same = [each for each in others if each.name.rpartition("-")[0] == found.name]
        name_conflicts.check(found, site.root.resolve(), [x for x in others if x not in same])
        if not unpacked.holds(folder, found.files):
            unpacked.unpack(folder, found.files)
        _raise_floor(site, algorithm)
        for other in same:
            if other != folder:
                unpacked.remove(other)
    return folder


def fetch(
    site: AlgorithmPolicy,
    task: str,
    lock: Mapping[str, AlgorithmPin],
    repository: SupportsAlgorithms,
) -> list[Path]:
    """Install everything that a task locks, from a repository that need not be trusted.

    Raises:
        RepositoryError: An algorithm is not stored, or is refused.
        ConfigError: As `install`.
    """
    installed = []
    for name, pin in lock.items():
        algorithm, data = repository.algorithm(name, pin.version)
        if algorithm.name != name:
            raise Refused(f"{name} was asked for, {algorithm.name} was delivered")
        installed.append(install(site, task, lock, algorithm, data))
    return installed


def folders(site: AlgorithmPolicy, task: str) -> list[Path]:
    """Return the folders of a task's algorithms."""
    return sorted(filter(unpacked.is_ours, (site.root / task).glob("[!.]*-*")))


def _locked(lock: Mapping[str, AlgorithmPin], algorithm: Algorithm) -> None:
    said = f"{algorithm.name}:{algorithm.version}"
    pin = lock.get(algorithm.name)
    if pin is None:
        raise Refused(f"{said} is not in the task's lock", exists=", ".join(sorted(lock)) or "none")
    if Version(algorithm.version) < Version(pin.version):
        raise Refused(f"{said} is older than the task's lock", exists=f"version {pin.version}")
    if (algorithm.version, algorithm.sha256) != (pin.version, pin.sha256):
        raise Refused(
            f"{said} is not the one in the task's lock",
            exists=f"version {pin.version}, SHA-256 {pin.sha256}",
            hint="aeros algorithms lock NAME:VERSION, where the task is written",
        )


def _not_older(floors: Mapping[str, str], algorithm: Algorithm) -> None:
    had = floors.get(algorithm.name)
    if had and Version(algorithm.version) < Version(had):
        raise Refused(
            f"{algorithm.name}:{algorithm.version} is older than what this node has had",
            exists=f"version {had}",
            hint="lock a newer one; if this one is meant, remove its line from versions.json, which"
            " lies where this node installs algorithms",
        )


def _floors(site: AlgorithmPolicy) -> dict[str, str]:
    path = site.root / "versions.json"
    try:
        floors = strict_json.loads(path.read_text(encoding="utf-8"))
        return {name: _floor(name, said) for name, said in floors.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise Refused(
            f"{path} cannot be read, so nobody knows what is a downgrade: {error}",
            hint="bring it back from a copy, or remove it",
        ) from error


def _floor(name: str, said: str) -> str:
    """Return the version that a line names; its checksum may be absent, not wrong."""
    version, _, told = said.partition(" ")
    if told and told != checksums.of(name, version):
        raise ValueError(f"the checksum of {name} is wrong")
    return str(Version(version))


def _raise_floor(site: AlgorithmPolicy, algorithm: Algorithm) -> None:
    aside = site.root / f".{secrets.token_hex(8)}"
    floors = {**_floors(site), algorithm.name: algorithm.version}
    lines = {name: f"{version} {checksums.of(name, version)}" for name, version in floors.items()}
    aside.write_text(json.dumps(lines, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    aside.replace(site.root / "versions.json")


@contextmanager
def _alone(site: AlgorithmPolicy) -> Iterator[None]:
    """Keep two processes from installing at once."""
    site.root.mkdir(mode=0o755, parents=True, exist_ok=True)
    _check_place(site.root)
    try:  # a link that came with a project is not followed, and no file is emptied
        descriptor = os.open(site.root / ".lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise Refused(
            f"{site.root / '.lock'} cannot be opened: {error.strerror}", hint=_ELSE
        ) from error
    with os.fdopen(descriptor) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check_place(folder: Path) -> None:
    """Refuse a folder for algorithms that leads elsewhere, or that others may write.

    A folder that came with a project may hold anything: what a task imports is compared with
    its wheel, and what is not ours is neither taken nor removed.
    """
    if not folder.exists() and not folder.is_symlink():
        return
    told = folder.lstat()
    if not stat.S_ISDIR(told.st_mode):
        raise Refused(f"{folder} is a link or a file, and no folder for algorithms", hint=_ELSE)
    if told.st_uid not in (0, os.geteuid()):
        raise Refused(f"{folder} belongs to another user", hint=_ELSE)
    if told.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise Refused(f"others may write {folder}", hint=f"chmod o-w,g-w {folder}")

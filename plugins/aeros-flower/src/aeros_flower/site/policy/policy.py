"""The policy file of a site: what controllers may ask of the executor, and what may leave.

A YAML file with the keys of `Policy`. Every key may be left out; its default then holds, as all
defaults do for an executor without a policy file. The file is read once, at start.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from aeros_core.errors import ConfigError
from aeros_core.plugins.registry import nearest
from aeros_core.roles.disclosure import Disclosure
from aeros_core.tasks.subtask import Kind
from aeros_flower.site.policy import files
from aeros_flower.site.policy.controllers import ControllerRule

__all__ = ["NO_FILE", "Policy", "permissive", "read"]

NO_FILE = "a policy file, named with --policy FILE"
"""How the policy file is called where there is none yet."""

_ANY = ("*",)
_SENT = frozenset({Disclosure.counts, Disclosure.sums, Disclosure.histogram, Disclosure.updates})


@dataclass(frozen=True, slots=True)
class Policy:
    """What a site allows; the defaults hold where nothing else is written.

    Args:
        data_root: Folder below which files of the task are looked for, as ``--data-root``.
        data: Options of the task that the site sets, by name, as ``--set``.
        controllers: Who may ask; none: whoever is found at the address, its certificate checked.
        tasks: Kinds of sub-task that are carried out.
        trainers: Trainers, by the name of their option; ``*`` and ``?`` as in file names.
        models: Models of trainers, likewise.
        transformers: Transformers, likewise.
        inferencers: Inferencers, likewise.
        codecs: Codecs, likewise.
        plugin_files: SHA-256 of the files that ``--plugin`` may load, as ``sha256:…``, likewise.
        signers: Ids of the keys whose signed algorithms may be installed for a task.
        predictions: Whether the predictions for single rows may leave.
        explanations: Whether the explanations of predictions may leave.
        remote_inferencers: Addresses that a task's inferencer may connect to.
        disclosures: Kinds of information that may leave.
        categories: Columns whose categories may leave, likewise.
        smallest_count: Rows that are behind each figure that leaves, at least.
        least_rows: Rows that a client needs to take part, at least.
        most_rounds: Rounds that a controller may have carried out in ``limits_hours``.
        most_seconds: Seconds that may be worked for a controller in ``limits_hours``.
        limits_hours: Hours over which these two are counted.
        most_memory_mb: Memory of the executor's process in MiB, libraries included.
        log: File of the site's log; None: ``site-log.jsonl`` in the state folder.
        path: The file that says so; None: there is none.
        permissive: Whether the controller belongs to the executor's own user.
    """

    data_root: Path | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
    controllers: tuple[ControllerRule, ...] = ()
    tasks: tuple[str, ...] = (Kind.train.value, Kind.evaluate.value)
    trainers: tuple[str, ...] = _ANY
    models: tuple[str, ...] = _ANY
    transformers: tuple[str, ...] = _ANY
    inferencers: tuple[str, ...] = _ANY
    codecs: tuple[str, ...] = _ANY
    plugin_files: tuple[str, ...] = ()
    signers: tuple[str, ...] = ()
    predictions: bool = False
    explanations: bool = False
    remote_inferencers: tuple[str, ...] = ()
    disclosures: frozenset[Disclosure] = _SENT
    categories: tuple[str, ...] = ()
    smallest_count: int = 2
    least_rows: int = 2
    most_rounds: int | None = None
    most_seconds: float | None = None
    limits_hours: float = 24.0
    most_memory_mb: int | None = None
    log: Path | None = None
    path: Path | None = None
    permissive: bool = False

    @property
    def location(self) -> str:
        """Return where a line of the policy belongs, in words."""
        return NO_FILE if self.path is None else str(self.path)

    @property
    def settings(self) -> tuple[str, ...]:
        """Return the options that the site sets, as ``--set`` takes them."""
        spelled = ((k, v if isinstance(v, str) else json.dumps(v)) for k, v in self.data.items())
        return tuple(f"{key}={value}" for key, value in spelled)

    def names(self, rule: str, found: str) -> bool:
        """Tell whether a rule that lists names allows one."""
        return any(fnmatchcase(found, pattern) for pattern in getattr(self, rule))


def permissive(log: Path | None = None) -> Policy:
    """Return the policy of an executor whose controller is its own user's."""
    return Policy(
        tasks=tuple(kind.value for kind in Kind),
        plugin_files=_ANY,
        signers=_ANY,
        predictions=True,
        explanations=True,
        remote_inferencers=_ANY,
        disclosures=frozenset(Disclosure),
        categories=_ANY,
        smallest_count=1,
        least_rows=1,
        log=log,
        permissive=True,
    )


def read(path: Path) -> Policy:
    """Read and check a policy file.

    Raises:
        ConfigError: It is missing, others may write it, a key does not exist or comes twice,
            or a value is of another type or out of its range.
    """
    told = files.mapping(path)
    for key in told:
        if key not in _READERS:
            raise _unknown(path, key)
    values = {key: _READERS[key](_Entry(path, key, value)) for key, value in told.items()}
    return Policy(**values, path=path)


def _unknown(path: Path, key: object) -> ConfigError:
    close = nearest(str(key), _READERS)
    return ConfigError(
        f"{path}: '{key}' is not a key of a policy",
        exists=", ".join(_READERS),
        hint=f"{close[0]}: VALUE" if close else "one of these, or remove the line",
    )


@dataclass(frozen=True, slots=True)
class _Entry:
    """One key of the file with its value, and how it is read."""

    path: Path
    key: str
    value: Any

    def wrong(self, wanted: str, example: str) -> ConfigError:
        """Return the error that the value must be something else."""
        return ConfigError(
            f"{self.path}: {self.key} must be {wanted}, got {self.value!r}",
            hint=f"{self.key}: {example}",
        )

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong("true or false", "false")
        return self.value

    def whole(self, least: int, example: int) -> int:
        if type(self.value) is not int or not least <= self.value < 2**53:
            raise self.wrong(f"a whole number of at least {least}", str(example))
        return int(self.value)

    def positive(self, example: str) -> float:
        good = isinstance(self.value, int | float) and not isinstance(self.value, bool)
        if not good or not self.value > 0 or not math.isfinite(self.value):
            raise self.wrong("a number above 0", example)
        return float(self.value)

    def texts(self, example: str) -> tuple[str, ...]:
        told = self.value
        if not isinstance(told, list) or not all(isinstance(t, str) and t for t in told):
            raise self.wrong("a list of names", example)
        return tuple(told)

    def among(self, known: tuple[str, ...]) -> tuple[str, ...]:
        for name in self.texts(f"[{known[0]}]"):
            if name not in known:
                close = nearest(name, known)
                raise ConfigError(
                    f"{self.path}: {self.key} must name some of what exists, got '{name}'",
                    exists=", ".join(known),
                    hint=f"{self.key}: [{close[0] if close else known[0]}]",
                )
        return tuple(self.value)

    def file(self, example: str) -> Path:
        """Return a path; a relative one is looked for beside the policy file."""
        if not isinstance(self.value, str) or not self.value or "\0" in self.value:
            raise self.wrong("a path", example)
        return self.path.parent / Path(self.value).expanduser()


def _data(entry: _Entry) -> dict[str, Any]:
    told = entry.value
    if not isinstance(told, dict) or not all(isinstance(k, str) and "." in k for k in told):
        raise entry.wrong(
            "a mapping of options to values", "{transformer.table.path: /srv/table.csv}"
        )
    return dict(told)


def _controllers(entry: _Entry) -> tuple[ControllerRule, ...]:
    example = "[{certificate: sha256:…}]"
    if not isinstance(entry.value, list) or not entry.value:
        raise entry.wrong("a list of certificates, keys or addresses", example)
    try:
        return tuple(ControllerRule.read(one) for one in entry.value)
    except ValueError as error:
        raise ConfigError(
            f"{entry.path}: controllers: {error}",
            exists="certificate, key or ca with the SHA-256 of it, or address",
            hint=f"controllers: {example}; openssl x509 -in server.pem -noout -fingerprint -sha256",
        ) from None


def _tasks(entry: _Entry) -> tuple[str, ...]:
    return entry.among((Kind.train.value, Kind.evaluate.value, Kind.infer.value))


def _disclosures(entry: _Entry) -> frozenset[Disclosure]:
    return frozenset(map(Disclosure, entry.among(tuple(kind.value for kind in Disclosure))))


_READERS: Mapping[str, Callable[[_Entry], Any]] = {
    "data_root": lambda entry: entry.file("/srv/data"),
    "data": _data,
    "controllers": _controllers,
    "tasks": _tasks,
    "trainers": lambda entry: entry.texts("[torch]"),
    "models": lambda entry: entry.texts("[mlp, cnn]"),
    "transformers": lambda entry: entry.texts("[table, standardise]"),
    "inferencers": lambda entry: entry.texts("[torch]"),
    "codecs": lambda entry: entry.texts("[int8]"),
    "plugin_files": lambda entry: entry.texts("['sha256:…']"),
    "signers": lambda entry: entry.texts("[KEY-ID]"),
    "predictions": _Entry.flag,
    "explanations": _Entry.flag,
    "remote_inferencers": lambda entry: entry.texts("['https://cloud.example:8443']"),
    "disclosures": _disclosures,
    "categories": lambda entry: entry.texts("[kind]"),
    "smallest_count": lambda entry: entry.whole(1, 10),
    "least_rows": lambda entry: entry.whole(1, 100),
    "most_rounds": lambda entry: entry.whole(1, 100),
    "most_seconds": lambda entry: entry.positive("3600"),
    "limits_hours": lambda entry: entry.positive("24"),
    "most_memory_mb": lambda entry: entry.whole(1, 4096),
    "log": lambda entry: entry.file("/var/log/aeros/site-log.jsonl"),
}
"""How each key is read; `Policy` says what it means."""

assert _READERS.keys() == {f.name for f in fields(Policy)} - {"path", "permissive"}  # noqa: S101

"""The commands ``aeros models list|show|verify|tag|export|gc``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aeros_core import plugins
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.tables import table

if TYPE_CHECKING:
    from aeros_core.roles import Repository

__all__ = ["add_models"]


def add_models(parser: argparse.ArgumentParser) -> None:
    """Give the command ``aeros models`` its verbs."""
    verbs = parser.add_subparsers(required=True, metavar="list|show|verify|tag|export|gc")
    for verb, handler, takes, help_ in (
        ("list", _list, "[NAME …]", "every version, by name"),
        ("show", _show, "NAME[:VERSION]", "what a version is and was made from"),
        ("verify", _verify, "[NAME[:VERSION]]", "read and hash everything that is stored"),
        ("tag", _tag, "NAME:VERSION TAG", "let a name such as production point to a version"),
        ("export", _export, "NAME[:VERSION] FILE.safetensors", "write a version to a file"),
        ("gc", _gc, "", "remove what nothing names any more"),
    ):
        sub = verbs.add_parser(verb, help=help_)
        sub.add_argument("words", nargs="*", metavar=f"{takes} repository.option=value".strip())
        sub.add_argument("--json", action="store_true", help="as JSON")
        sub.set_defaults(command=handler)
        if verb == "gc":
            sub.add_argument(
                "--hours", type=float, default=24.0,
                help="leave what is younger, it may be in the making (default: 24)",
            )  # fmt: skip


def _list(parsed: argparse.Namespace) -> int:
    repository, names = _repository(parsed.words)
    wanted: list[str | None] = [*names] or [None]
    infos = [info for name in wanted for info in repository.models(name)]
    rows = [asdict(info) | {"tags": ", ".join(info.tags)} for info in infos]
    if parsed.json:
        print(json.dumps(rows, indent=2))
        return 0
    shown = [
        row | {f"{k}": float(v) for k, v in sorted(info.metrics.items())}
        for row, info in zip(rows, infos, strict=True)
    ]
    metrics = sorted({name for info in infos for name in info.metrics})
    print(table(shown, ["name", "version", "tags", *metrics, "round", "created", "nbytes"]))
    return 0


def _show(parsed: argparse.Namespace) -> int:
    repository, words = _repository(parsed.words)
    if len(words) != 1:
        raise ConfigError(
            "aeros models show takes one model", hint="aeros models show NAME[:VERSION]"
        )
    name, version = _named(words[0])
    model = repository.model(name, version or "latest")
    described: dict[str, Any] = {
        "name": model.name,
        "digest": model.parameters.digest,
        "run": model.run,
        "round": model.round,
        "metrics": dict(model.metrics),
        "module": dict(model.module),
        "transformers": {k: dict(v) for k, v in model.transformers.items()},
        "schema": model.schema.to_json(),
        "tensors": {t.name: [t.dtype, *t.shape] for t in model.parameters.layout.tensors},
        "versions": dict(model.versions),
        "parents": list(model.parents),
    }
    print(json.dumps(described, indent=2) if parsed.json else _page(described))
    return 0


def _page(described: dict[str, Any]) -> str:
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(described)).rstrip()


def _verify(parsed: argparse.Namespace) -> int:
    from aeros_core.powers import SupportsVerify

    repository, words = _repository(parsed.words)
    if len(words) > 1:
        raise ConfigError(
            "aeros models verify takes one model, or none for everything",
            hint="aeros models verify [NAME[:VERSION]]",
        )
    if not isinstance(repository, SupportsVerify):
        raise _without(repository, "SupportsVerify", "check itself")
    name, version = _named(words[0]) if words else (None, None)
    files = repository.verify(name, version)
    damaged = {file: what for file, what in files.items() if what}
    if parsed.json:
        print(json.dumps({"files": len(files), "damaged": damaged}, indent=2))
    elif damaged:
        rows = [{"file": file, "damage": what} for file, what in damaged.items()]
        print(table(rows, ["file", "damage"]))
    else:
        print(f"{_counted(len(files), 'file')} verified, none is damaged")
    if damaged:
        raise RepositoryError(
            f"{len(damaged)} of {_counted(len(files), 'file')} "
            f"{'is' if len(damaged) == 1 else 'are'} damaged",
            hint="bring them back from a copy of the repository",
        )
    return 0


def _tag(parsed: argparse.Namespace) -> int:
    from aeros_core.powers import SupportsTags

    repository, words = _repository(parsed.words)
    if len(words) != 2 or not _named(words[0])[1]:
        raise ConfigError(
            "aeros models tag takes a version and a tag", hint="aeros models tag NAME:VERSION TAG"
        )
    if not isinstance(repository, SupportsTags):
        raise _without(repository, "SupportsTags", "give tags")
    name, version = _named(words[0])
    repository.tag(name, words[1], version or "latest")
    print(f"{words[0]} is tagged {words[1]}")
    return 0


def _export(parsed: argparse.Namespace) -> int:
    from aeros_core import safetensors

    repository, words = _repository(parsed.words)
    if len(words) != 2 or not words[1].endswith(".safetensors"):
        raise ConfigError(
            "aeros models export takes a model and a file whose name ends in .safetensors",
            hint="aeros models export NAME[:VERSION] FILE.safetensors",
        )
    name, version = _named(words[0])
    nbytes = safetensors.save(Path(words[1]), repository.model(name, version or "latest"))
    print(f"{words[1]} holds {words[0]}, {nbytes:,} bytes")
    return 0


def _gc(parsed: argparse.Namespace) -> int:
    from aeros_core.powers import SupportsCollection

    repository, words = _repository(parsed.words)
    if words or parsed.hours < 0:
        raise ConfigError(
            "aeros models gc takes no model and no negative age",
            hint="aeros models gc --hours 24 repository.option=value",
        )
    if not isinstance(repository, SupportsCollection):
        raise _without(repository, "SupportsCollection", "remove what nothing names")
    removed = repository.collect(parsed.hours * 3600)
    if parsed.json:
        print(json.dumps(removed, indent=2))
    else:
        print(f"{_counted(len(removed), 'blob')} removed, {sum(removed.values()):,} bytes")
    return 0


def _repository(words: Sequence[str]) -> tuple[Repository, list[str]]:
    from aeros_core import compose, config

    registry = plugins.discover()
    cfg = config.load([w for w in words if "=" in w], registry, root="models")
    node = config.plain(cfg)["repository"]
    repository: Repository = compose.build_part(registry, "repository", node)
    return repository, [word for word in words if "=" not in word]


def _named(word: str) -> tuple[str, str | None]:
    name, _, version = word.partition(":")
    return name, version or None


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s'[: number != 1]}"


def _without(repository: Repository, power: str, what: str) -> ConfigError:
    return ConfigError(
        f"{type(repository).__name__} is a repository that cannot {what}: it has no {power}",
        hint="repository=<another one>; aeros plugins lists them",
    )

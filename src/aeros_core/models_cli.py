"""The commands ``aeros models list|show|verify|tag|export|import|split|gc``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aeros_core import formats, gc_cli, verify_cli, words
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.tables import figures, table

if TYPE_CHECKING:
    from aeros_core.records import ModelInfo
    from aeros_core.roles import Repository

__all__ = ["add_models"]

FILES = (".safetensors", ".onnx", ".pt", ".pth")


def add_models(parser: argparse.ArgumentParser) -> None:
    """Give the command ``aeros models`` its verbs."""
    verbs = parser.add_subparsers(
        required=True, metavar="list|show|verify|tag|export|import|split|gc"
    )
    for verb, handler, takes, help_ in (
        ("list", _list, "[NAME …]", "every version, by name"),
        ("show", _show, "NAME[:VERSION]", "what a version is and was made from"),
        (
            "verify",
            verify_cli.verify,
            "[NAME[:VERSION]]",
            "read and hash everything that is stored",
        ),
        ("tag", _tag, "NAME:VERSION TAG", "let a name such as production point to a version"),
        ("export", _export, "NAME[:VERSION] FILE", "write a version to a file"),
        ("import", _import, "FILE", "store a file as the next version of a model"),
        ("split", _split, "NAME[:VERSION]", "store a model as two stages, for several elements"),
        ("gc", gc_cli.collect, "", "remove what nothing names any more"),
    ):
        sub = verbs.add_parser(verb, help=help_)
        sub.add_argument("words", nargs="*", metavar=f"{takes} repository.option=value".strip())
        sub.add_argument("--json", action="store_true", help="as JSON")
        sub.set_defaults(command=handler)
        _options(verb, sub)


def _options(verb: str, sub: argparse.ArgumentParser) -> None:
    if verb == "list":
        sub.add_argument("--limit", type=int, help="so many at most (default: all)")
        sub.add_argument("--offset", type=int, default=0, help="pass over so many")
        sub.add_argument("--newest", action="store_true", help="the newest of each first")
    if verb == "verify":
        verify_cli.add_options(sub)
    if verb in ("export", "import"):
        sub.add_argument("--format", help="safetensors, onnx or state_dict (default: by name)")
    if verb == "import":
        sub.add_argument(
            "--name", required=True, metavar="NAME[:VERSION]",
            help="name of the model; its next version (default), or an error if that is another",
        )  # fmt: skip
    if verb == "split":
        sub.add_argument("--at", required=True, metavar="LAYER", help="last of the first stage")
        sub.add_argument(
            "--exit", action="store_true", help="the first stage answers too, at its early exit"
        )
    if verb == "gc":
        gc_cli.add_options(sub)


def _list(parsed: argparse.Namespace) -> int:
    repository, names = words.repository(parsed.words)
    infos, told = _some(repository, names, parsed)
    listed = {info.name for info in infos}
    if missing := [n for n in names if n not in listed and not repository.models(n)]:
        raise RepositoryError(
            f"model '{missing[0]}' does not exist",
            exists=", ".join(sorted({info.name for info in repository.models()})) or "none at all",
            hint="aeros models list",
        )
    rows = [_row(info) for info in infos]
    if parsed.json:
        print(json.dumps(rows, indent=2))
        return 0
    if not rows and not told:
        print("no model is stored; aeros run trains one")
        return 0
    shown = [row | figures(info.metrics) for row, info in zip(rows, infos, strict=True)]
    metrics = sorted({name for info in infos for name in info.metrics})
    print(table(shown, ["name", "version", "tags", *metrics, "round", "created", "nbytes"]))
    if told:
        print(told)
    return 0


def _some(
    repository: Repository, names: list[str], parsed: argparse.Namespace
) -> tuple[Sequence[ModelInfo], str]:
    """Return the versions that are asked for, and where they stand among all."""
    from aeros_core.powers import SupportsPages

    if parsed.limit is None and not parsed.offset and not parsed.newest:
        wanted: list[str | None] = [*names] or [None]
        return [info for name in wanted for info in repository.models(name)], ""
    limit = 100 if parsed.limit is None else parsed.limit
    if len(names) > 1 or limit < 1 or parsed.offset < 0:
        raise ConfigError(
            "aeros models list shows a page of one model, or of all",
            exists="--limit from 1, --offset from 0",
            hint="aeros models list [NAME] --limit 20 --offset 40 --newest",
        )
    if not isinstance(repository, SupportsPages):
        raise words.without(repository, "SupportsPages", "list page by page")
    infos, total = repository.page(
        names[0] if names else None, offset=parsed.offset, limit=limit, newest=parsed.newest
    )
    return infos, words.shown("version", parsed.offset, len(infos), total)


def _row(info: ModelInfo) -> dict[str, Any]:
    row = {field.name: getattr(info, field.name) for field in fields(info)}
    return row | {"metrics": dict(info.metrics), "tags": ", ".join(info.tags)}


def _show(parsed: argparse.Namespace) -> int:
    repository, names = words.repository(parsed.words)
    if len(names) != 1:
        raise ConfigError(
            "aeros models show takes one model", hint="aeros models show NAME[:VERSION]"
        )
    name, version = words.named(names[0])
    model = repository.model(name, version or "latest")
    kept = [i for i in repository.models(name) if i.digest == model.parameters.digest]
    info = next((i for i in reversed(kept) if version in (None, str(i.version), *i.tags)), None)
    described: dict[str, Any] = {
        "name": model.name,
        "version": info.version if info else None,
        "tags": list(info.tags) if info else [],
        "created": info.created if info else "",
        "digest": model.parameters.digest,
        "run": model.run,
        "round": model.round,
        "metrics": dict(model.metrics),
        "module": dict(model.module),
        "transformers": {k: dict(v) for k, v in model.transformers.items()},
        **({"behind": list(model.behind)} if model.behind else {}),
        "schema": model.schema.to_json(),
        "tensors": {t.name: [t.dtype, *t.shape] for t in model.parameters.layout.tensors},
        "versions": dict(model.versions),
        "parents": list(model.parents),
    }
    print(json.dumps(described, indent=2) if parsed.json else words.page(described))
    return 0


def _tag(parsed: argparse.Namespace) -> int:
    from aeros_core.powers import SupportsTags

    repository, names = words.repository(parsed.words)
    if len(names) != 2 or not words.named(names[0])[1]:
        raise ConfigError(
            "aeros models tag takes a version and a tag", hint="aeros models tag NAME:VERSION TAG"
        )
    if not isinstance(repository, SupportsTags):
        raise words.without(repository, "SupportsTags", "give tags")
    name, version = words.named(names[0])
    repository.tag(name, names[1], version or "latest")
    print(f"{names[0]} is tagged {names[1]}")
    return 0


def _export(parsed: argparse.Namespace) -> int:
    repository, names = words.repository(parsed.words)
    if len(names) != 2 or not (parsed.format or names[1].endswith(FILES)):
        raise ConfigError(
            f"aeros models export takes a model and a file whose name ends in {' or '.join(FILES)}",
            hint="aeros models export NAME[:VERSION] FILE.safetensors",
        )
    format_ = formats.choose(names[1], parsed.format)
    name, version = words.named(names[0])
    nbytes = format_.save(Path(names[1]), repository.model(name, version or "latest"))
    print(f"{names[1]} holds {names[0]}, {nbytes:,} bytes")
    return 0


def _import(parsed: argparse.Namespace) -> int:
    repository, names = words.repository(parsed.words)
    if len(names) != 1 or not (parsed.format or names[0].endswith(FILES)):
        raise ConfigError(
            f"aeros models import takes a file whose name ends in {' or '.join(FILES)}",
            hint="aeros models import FILE.safetensors --name NAME",
        )
    format_ = formats.choose(names[0], parsed.format)
    name, version = words.named(parsed.name)
    if version is not None and not version.isdecimal():
        raise ConfigError(
            f"--name {parsed.name} names no number behind its colon",
            hint=f"--name {name} for the next version, or its number: --name {name}:1",
        )
    info = repository.publish(format_.load(Path(names[0]), name), int(version) if version else None)
    if parsed.json:
        print(json.dumps(asdict(info), indent=2))
    else:
        print(f"{info.name}:{info.version} is stored, {info.nbytes:,} bytes of parameters")
    return 0


def _split(parsed: argparse.Namespace) -> int:
    repository, names = words.repository(parsed.words)
    if len(names) != 1:
        raise ConfigError(
            "aeros models split takes one model",
            hint="aeros models split NAME[:VERSION] --at LAYER",
        )
    format_ = formats.choose("stage.onnx", "onnx")
    if not isinstance(format_, formats.Splits):
        raise ConfigError("the format onnx cannot part models", hint="pip install -U aeros-onnx")
    name, version = words.named(names[0])
    stages = format_.split(
        repository.model(name, version or "latest"), parsed.at, early=parsed.exit
    )
    infos = [repository.publish(stage) for stage in stages]
    if parsed.json:
        print(json.dumps([asdict(info) for info in infos], indent=2))
        return 0
    for stage, info in zip(stages, infos, strict=True):
        takes = ", ".join(str(field) for field in stage.schema.features)
        early = ", and answers at its exit" if parsed.exit and stage is stages[0] else ""
        print(f"{info.name}:{info.version} is stored, {info.nbytes:,} bytes, takes {takes}{early}")
    return 0

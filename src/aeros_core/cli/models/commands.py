"""The commands ``aeros models list|show|verify|tag|export|import|split|gc``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from aeros_core.cli import arguments
from aeros_core.cli.models import files, garbage_collection, verify
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.reporting import text
from aeros_core.reporting.tables import figures, table

if TYPE_CHECKING:
    from aeros_core.records import Model, ModelInfo
    from aeros_core.roles.repository import Repository
    from aeros_core.schema import Field

__all__ = ["add_models"]

CATEGORIES = 20
"""Categories of an input that are shown."""


def add_models(parser: argparse.ArgumentParser) -> None:
    """Give the command ``aeros models`` its verbs."""
    verbs = parser.add_subparsers(
        required=True, metavar="list|show|verify|tag|export|import|split|gc"
    )
    for verb, handler, takes, help_ in (
        ("list", _list, "[NAME …]", "every version, by name"),
        ("show", _show, "NAME[:VERSION]", "what a version is and was made from"),
        ("verify", verify.verify, "[NAME[:VERSION]]", "read and hash all that is stored"),
        ("tag", _tag, "NAME:VERSION TAG", "let a name such as production point to a version"),
        ("export", files.export, "NAME[:VERSION] FILE", "write a version to a file"),
        ("import", files.import_, "FILE", "store a file as the next version of a model"),
        ("split", files.split, "NAME[:VERSION]", "store a model as two stages"),
        ("gc", garbage_collection.collect, "", "remove what nothing names any more"),
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
        verify.add_options(sub)
    if verb in ("export", "import", "split"):
        files.add_options(verb, sub)
    if verb == "gc":
        garbage_collection.add_options(sub)


def _list(parsed: argparse.Namespace) -> int:
    repository, names = arguments.repository(parsed.words)
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
    from aeros_core.roles.repository import SupportsPages

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
        raise arguments.without(repository, "SupportsPages", "list page by page")
    infos, total = repository.page(
        names[0] if names else None, offset=parsed.offset, limit=limit, newest=parsed.newest
    )
    return infos, text.shown("version", parsed.offset, len(infos), total)


def _row(info: ModelInfo) -> dict[str, Any]:
    row = {field.name: getattr(info, field.name) for field in fields(info)}
    return row | {"metrics": dict(info.metrics), "tags": ", ".join(info.tags)}


def _show(parsed: argparse.Namespace) -> int:
    repository, names = arguments.repository(parsed.words)
    if len(names) != 1:
        raise ConfigError(
            "aeros models show takes one model", hint="aeros models show NAME[:VERSION]"
        )
    name, version = arguments.named(names[0])
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
        "inputs": _inputs(model),
        "schema": model.schema.to_json(),
        "tensors": {t.name: [t.dtype, *t.shape] for t in model.parameters.layout.tensors},
        **({"samples": _rows(model)} if model.samples else {}),
        "versions": dict(model.versions),
        "parents": list(model.parents),
    }
    print(json.dumps(described, indent=2) if parsed.json else text.page(described))
    return 0


def _inputs(model: Model) -> dict[str, Any] | None:
    """Return the fields that a request has to bring; None where nobody knows."""
    if model.inputs is None and model.transformers:
        return None
    return {field.name: _told(field) for field in (model.inputs or model.schema).features}


def _told(field: Field) -> dict[str, Any]:
    """Return what is known of a field, of its categories the first."""
    told = {k: v for k, v in field.to_json().items() if k != "name" and v is not None}
    if (names := field.categories) and len(names) > CATEGORIES:
        told["categories"] = [*names[:CATEGORIES], f"… and {len(names) - CATEGORIES:,} more"]
    return told


def _rows(model: Model) -> int:
    return next((len(column) for column in model.samples.values()), 0)


def _tag(parsed: argparse.Namespace) -> int:
    from aeros_core.roles.repository import SupportsTags

    repository, names = arguments.repository(parsed.words)
    if len(names) != 2 or not arguments.named(names[0])[1]:
        raise ConfigError(
            "aeros models tag takes a version and a tag", hint="aeros models tag NAME:VERSION TAG"
        )
    if not isinstance(repository, SupportsTags):
        raise arguments.without(repository, "SupportsTags", "give tags")
    name, version = arguments.named(names[0])
    repository.tag(name, names[1], version or "latest")
    print(f"{names[0]} is tagged {names[1]}")
    return 0

"""The commands ``aeros models list|show|verify|tag|export|import|split|gc``."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from aeros_core import files_cli, gc_cli, words
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.tables import figures, table

if TYPE_CHECKING:
    from aeros_core.records import Model, ModelInfo
    from aeros_core.roles import Repository

__all__ = ["add_models"]


def add_models(parser: argparse.ArgumentParser) -> None:
    """Give the command ``aeros models`` its verbs."""
    verbs = parser.add_subparsers(
        required=True, metavar="list|show|verify|tag|export|import|split|gc"
    )
    for verb, handler, takes, help_ in (
        ("list", _list, "[NAME …]", "every version, by name"),
        ("show", _show, "NAME[:VERSION]", "what a version is and was made from"),
        ("verify", _verify, "[NAME[:VERSION]]", "read and hash everything that is stored"),
        ("tag", _tag, "NAME:VERSION TAG", "let a name such as production point to a version"),
        ("export", files_cli.export, "NAME[:VERSION] FILE", "write a version to a file"),
        ("import", files_cli.import_, "FILE", "store a file as the next version of a model"),
        ("split", files_cli.split, "NAME[:VERSION]", "store a model as two stages"),
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
        sub.add_argument(
            "--heal", action="store_true", help="write what is damaged again from other copies"
        )
        sub.add_argument(
            "--heal-from", action="append", default=[], metavar="FOLDER|OVERRIDES",
            help="another copy of the repository, too: its folder, or for instance"
            " 'repository=s3 repository.bucket=copy'",
        )  # fmt: skip
    if verb in ("export", "import", "split"):
        files_cli.add_options(verb, sub)
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
        **({"samples": _rows(model)} if model.samples else {}),
        "versions": dict(model.versions),
        "parents": list(model.parents),
    }
    print(json.dumps(described, indent=2) if parsed.json else words.page(described))
    return 0


def _rows(model: Model) -> int:
    return next((len(column) for column in model.samples.values()), 0)


def _verify(parsed: argparse.Namespace) -> int:
    from aeros_core.powers import SupportsVerify

    repository, names = words.repository(parsed.words)
    if len(names) > 1:
        raise ConfigError(
            "aeros models verify takes one model, or none for everything",
            hint="aeros models verify [NAME[:VERSION]]",
        )
    if not isinstance(repository, SupportsVerify):
        raise words.without(repository, "SupportsVerify", "check itself")
    name, version = words.named(names[0]) if names else (None, None)
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
        print(f"{words.counted(len(files), 'file')} verified, none is damaged")
    if damaged:
        raise RepositoryError(
            f"{len(damaged)} of {words.counted(len(files), 'file')} "
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
    from aeros_core.powers import SupportsHealing

    parsed.heal = parsed.heal or bool(parsed.heal_from)
    if not parsed.heal:
        return {}
    if not isinstance(repository, SupportsHealing):
        raise words.without(repository, "SupportsHealing", "heal itself")
    others = [_copy(place) for place in parsed.heal_from]
    healed = dict(repository.heal(name, version, others))
    if not parsed.json:
        for file, place in healed.items():
            print(f"healed: {file} from {place}")
    return healed


def _copy(place: str) -> Repository:
    """Return the repository that ``--heal-from`` names, which has to hold something."""
    from aeros_core.powers import SupportsAlgorithms

    folder = ["repository=zarr", f"repository.path={place}"]
    copy, _ = words.repository(place.split() if "=" in place else folder)
    kept = copy.runs() or copy.models()
    if not kept and not (isinstance(copy, SupportsAlgorithms) and copy.algorithms()):
        raise ConfigError(
            f"--heal-from {place} holds nothing of a repository",
            hint="--heal-from FOLDER, or --heal-from 'repository=s3 repository.bucket=COPY'",
        )
    return copy


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

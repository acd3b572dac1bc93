"""The commands ``aeros models export|import|split``: models as files, and in two stages."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from aeros_core.cli import arguments
from aeros_core.errors import ConfigError
from aeros_core.models import formats
from aeros_core.plugins import discovery
from aeros_core.reporting import text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aeros_core.models.formats import Compared, FormatModule
    from aeros_core.records import Model

__all__ = ["add_options", "export", "import_", "split"]

PICKLES = (".joblib", ".pickle", ".pkl")


def add_options(verb: str, sub: argparse.ArgumentParser) -> None:
    """Give one of the commands its options."""
    if verb in ("export", "import"):
        sub.add_argument(
            "--format", help="such as safetensors, onnx or state_dict (default: by name)"
        )
    if verb == "export":
        sub.add_argument(
            "--samples", metavar="FILE",
            help="raw rows, .npz, .safetensors or .csv, on which what is written has to answer as"
            " the model does (default: those that are stored with it)",
        )  # fmt: skip
    if verb == "import":
        sub.add_argument(
            "--name", metavar="NAME[:VERSION]",
            help="name of the model; its next version (default), or an error if that is another",
        )  # fmt: skip
        sub.add_argument(
            "--unbatched", action="store_true",
            help="first dimensions of the ONNX graph are no rows: each row is a whole input of it",
        )  # fmt: skip
    if verb == "split":
        sub.add_argument("--at", metavar="LAYER", help="last of the first stage")
        sub.add_argument(
            "--exit", action="store_true", help="the first stage answers too, at its early exit"
        )


def _has_format(name: str) -> bool:
    return Path(name).suffix in formats.suffixes(discovery.discover())


def _endings() -> str:
    return " or ".join(formats.suffixes(discovery.discover()))


def export(parsed: argparse.Namespace) -> int:
    """Write a version to a file; one that answers is compared with the original."""
    repository, names = arguments.repository(parsed.words)
    if len(names) != 2 or not (parsed.format or _has_format(names[1])):
        raise ConfigError(
            f"aeros models export takes a model and a file whose name ends in {_endings()}",
            hint="aeros models export NAME[:VERSION] FILE.safetensors",
        )
    format_ = formats.choose(names[1], parsed.format)
    name, version = arguments.named(names[0])
    model = repository.model(name, version or "latest")
    if parsed.samples:
        model = _with_rows(model, parsed.samples, format_)
    told: Compared | None = None
    if isinstance(format_, formats.Compares):
        nbytes, told = format_.save_compared(Path(names[1]), model)
    else:
        nbytes = format_.save(Path(names[1]), model)
    if parsed.json:
        compared = None if told is None else asdict(told)
        print(json.dumps({"file": names[1], "nbytes": nbytes, "compared": compared}, indent=2))
        return 0
    print(f"{names[1]} holds {names[0]}, {nbytes:,} bytes")
    if isinstance(format_, formats.Compares):
        print(_said(told, parsed.samples))
    return 0


def _with_rows(model: Model, file: str, format_: FormatModule) -> Model:
    """Return a model with the rows of a file in place of those that are stored with it."""
    from aeros_core.config import build
    from aeros_core.preprocessing import row_files

    if not isinstance(format_, formats.Compares):
        raise ConfigError(
            "--samples has nothing to compare: such a file holds parameters, and does not answer",
            exists="aeros models export NAME FILE.onnx --samples FILE",
            hint="leave --samples out",
        )
    built = build.build_steps(discovery.discover(), model)
    steps = [step for name, step in built.items() if name not in model.behind]
    return replace(model, samples=row_files.read(Path(file), model, steps))


def _said(told: Compared | None, file: str | None) -> str:
    if told is None:
        return "it is the stored graph itself, so there is nothing to compare it with"
    stored = f"{text.counted(told.stored, 'row')} of {file}" if file else ""
    stored = stored or f"{text.counted(told.stored, 'stored row')}"
    where = f"{stored} and {told.drawn} drawn ones" if told.stored else f"{told.drawn} drawn rows"
    more = "" if told.stored else "\nno rows are stored with it: --samples FILE, or task.samples=16"
    return f"it answers as the model does on {where}, apart by at most {told.apart:.1g}{more}"


def import_(parsed: argparse.Namespace) -> int:
    """Store a file as the next version of a model."""
    repository, names = arguments.repository(parsed.words)
    _check_file(names, parsed)
    format_ = formats.choose(names[0], parsed.format)
    name, version = arguments.named(parsed.name)
    if version is not None and not version.isdecimal():
        raise ConfigError(
            f"--name {parsed.name} names no number behind its colon",
            hint=f"--name {name} for the next version, or its number: --name {name}:1",
        )
    model, notes = _loaded(format_, Path(names[0]), name, unbatched=parsed.unbatched)
    info = repository.publish(model, int(version) if version else None)
    if parsed.json:
        print(json.dumps(asdict(info) | ({"notes": [*notes]} if notes else {}), indent=2))
        return 0
    print(f"{info.name}:{info.version} is stored, {info.nbytes:,} bytes of parameters")
    for note in notes:
        print(note)
    return 0


def _loaded(
    format_: FormatModule, path: Path, name: str, *, unbatched: bool
) -> tuple[Model, Sequence[str]]:
    """Return the model of a file, and what there is to say about it."""
    if isinstance(format_, formats.LoadsGraphs):
        return format_.load_graph(path, name, unbatched=unbatched)
    if unbatched:
        raise ConfigError(
            "--unbatched has nothing to do: such a file holds parameters, not a graph",
            exists="aeros models import FILE.onnx --name NAME --unbatched",
            hint="leave --unbatched out",
        )
    return format_.load(path, name), ()


def _check_file(names: list[str], parsed: argparse.Namespace) -> None:
    if names and names[0].endswith(PICKLES) and not parsed.format:
        raise ConfigError(
            f"{names[0]} is a pickle, which may run any code when it is read: it is not imported",
            exists=f"files whose name ends in {_endings()}",
            hint="load it in Python, and for an estimator of scikit-learn:"
            " repository.publish(aeros_onnx.sklearn.model(NAME, estimator, schema))",
        )
    if len(names) != 1 or not (parsed.format or _has_format(names[0])):
        raise ConfigError(
            f"aeros models import takes a file whose name ends in {_endings()}",
            hint="aeros models import FILE.safetensors --name NAME",
        )
    if not parsed.name:
        raise ConfigError(
            "aeros models import takes the name that the model is to have",
            hint=f"aeros models import {names[0]} --name {Path(names[0]).stem}",
        )


def split(parsed: argparse.Namespace) -> int:
    """Store a model as two stages, for several elements."""
    repository, names = arguments.repository(parsed.words)
    if len(names) != 1:
        raise ConfigError(
            "aeros models split takes one model",
            hint="aeros models split NAME[:VERSION] --at LAYER",
        )
    if not parsed.at:
        raise ConfigError(
            "aeros models split takes the last layer of the first stage",
            hint=f"aeros models split {names[0]} --at LAYER, such as layers.1",
        )
    format_ = formats.choose("stage.onnx", "onnx")
    if not isinstance(format_, formats.Splits):
        raise ConfigError("the format onnx cannot part models", hint="pip install -U aeros-onnx")
    name, version = arguments.named(names[0])
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

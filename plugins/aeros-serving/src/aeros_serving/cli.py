"""The command ``aeros serve``."""

from __future__ import annotations

import argparse
import logging
import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import MISSING, fields
from enum import Enum
from inspect import getdoc
from typing import Any

from aeros_core.errors import ConfigError
from aeros_serving.config import Serving, options_of
from aeros_serving.models.batching import Batching

__all__ = ["add_serve"]


_HELP = """\
words:
  model=NAME[:version|tag]      what is served; may be given several times
  inferencer=NAME               what computes; without it, what goes with each model
  repository.path=DIR           where the models are
  +serving.models.NAME.delay=0.002
                                options of one model: {own}

options of the server, with their defaults:
{options}

for instance:
  aeros serve model=digits:production model=mnist serving.http_port=8080 serving.delay=0.002
  aeros serve model=digits --cfg job     shows the whole configuration, and serves nothing
"""


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Give the command ``aeros serve`` its words."""
    parser.add_argument("words", nargs="*", metavar="WORD", help="model=NAME, and options: below")
    parser.add_argument("--cfg", choices=["job"], help="show the configuration, serve nothing")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Serve models by REST and gRPC, in the Open Inference Protocol v2."
    own = ", ".join(Batching.__slots__)
    parser.epilog = _HELP.format(own=own, options="\n".join(_explained()))
    parser.set_defaults(command=_serve, endures=True)


def _explained() -> Iterator[str]:
    """Yield each option of the server with its default, and what its docstring says of it."""
    said = re.findall(r"^    (\w+): ((?:.+\n?)(?:^     +.+\n?)*)", getdoc(Serving) or "", re.M)
    meanings = {
        name: " ".join(text.split()).partition(". ")[0].strip(".").replace("`", "")
        for name, text in said
    }
    for each in fields(Serving):
        if (name := each.name) in meanings and name != "models":
            made = each.default_factory
            default = each.default if made is MISSING else made()
            option = f"serving.{name}={_spelled(default)}"
            gap = " " if len(option) > 28 else " " * (30 - len(option))
            told = textwrap.wrap(meanings[name], 66) or [""]
            yield f"  {option}{gap}" + f"\n{' ' * 32}".join(told)


def _spelled(value: Any) -> str:
    """Return a default as it is typed."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Enum):
        return value.name
    return str(value).replace(" ", "")


def _serve(parsed: argparse.Namespace) -> int:
    from aeros_core.config import store
    from aeros_core.plugins import discovery

    models, overrides = _told(parsed.words, shown=bool(parsed.cfg))
    registry = discovery.discover()
    _store(store)
    node = store.load(overrides, registry, root="serve")
    if parsed.cfg:
        from omegaconf import OmegaConf

        print(OmegaConf.to_yaml(node), end="")
        return 0
    cfg = store.plain(node)
    from aeros_serving.launch import server_of
    from aeros_serving.lifecycle import run
    from aeros_serving.workers.configuration import Configuration

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("aeros_serving").setLevel(logging.INFO)
    chosen = any(word.lstrip("+~").startswith("inferencer") for word in overrides)
    inferencer = cfg["inferencer"] if chosen else None
    options = options_of(cfg["serving"])
    run(server_of(Configuration(cfg["repository"], inferencer, options)), models)
    return 0


def _told(words: Sequence[str], shown: bool = False) -> tuple[list[str], list[str]]:
    """Return the models, and the overrides; to show a configuration takes no model."""
    models = [m for w in words if w.startswith("model=") for m in w[6:].split(",") if m]
    overrides = [w for w in words if not w.startswith("model=")]
    strange = [w for w in overrides if "=" not in w]
    names = [model.partition(":")[0] for model in models]
    if strange or not (models or shown) or "" in names or len(set(names)) < len(names):
        why = "takes a model"
        if strange:
            why = f"does not take '{strange[0]}'"
        elif len(set(names)) < len(names):
            why = f"takes each model once, and {', '.join(names)} were named"
        raise ConfigError(
            f"aeros serve {why}",
            hint="aeros serve model=NAME[:version|tag] …; aeros models list shows the names,"
            " aeros serve --help the options",
        )
    return models, overrides


def _store(config: Any) -> None:
    from hydra.core.config_store import ConfigStore

    node = config.structured(Serving)
    ConfigStore.instance().store(group="serving", name="oip", node=node, provider="aeros-serving")

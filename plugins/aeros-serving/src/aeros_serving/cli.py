"""The command ``aeros serve``."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from aeros_core.errors import ConfigError
from aeros_serving.config import Serving, Where

__all__ = ["add_serve"]


def add_serve(parser: argparse.ArgumentParser) -> None:
    """Give the command ``aeros serve`` its words."""
    parser.add_argument(
        "words",
        nargs="*",
        metavar="model=NAME[:version|tag] serving.option=value repository.option=value",
    )
    parser.set_defaults(command=_serve)


def _serve(parsed: argparse.Namespace) -> int:
    from aeros_core import compose, config, plugins

    models, overrides = _told(parsed.words)
    registry = plugins.discover()
    _store(config)
    cfg = config.plain(config.load(overrides, registry, root="serve"))
    options = _options(cfg["serving"])
    repository = compose.build_part(registry, "repository", cfg["repository"])
    from aeros_serving.running import run
    from aeros_serving.served import Loader
    from aeros_serving.server import Server

    logging.basicConfig(level=logging.WARNING, format="aeros: %(message)s")
    logging.getLogger("aeros_serving").setLevel(logging.INFO)
    chosen = any(word.lstrip("+~").startswith("inferencer") for word in overrides)
    inferencer = cfg["inferencer"] if chosen else None
    server = Server(Loader(registry, repository, inferencer), options)
    run(server, models)
    return 0


def _told(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the models, and the overrides."""
    models = [m for w in words if w.startswith("model=") for m in w[6:].split(",") if m]
    overrides = [w for w in words if not w.startswith("model=")]
    strange = [w for w in overrides if "=" not in w]
    names = [model.partition(":")[0] for model in models]
    if strange or not models or "" in names or len(set(names)) < len(names):
        why = "takes a model"
        if strange:
            why = f"does not take '{strange[0]}'"
        elif len(set(names)) < len(names):
            why = f"takes each model once, and {', '.join(names)} were named"
        raise ConfigError(
            f"aeros serve {why}",
            hint="aeros serve model=NAME[:version|tag] …; aeros models list shows the names",
        )
    return models, overrides


def _store(config: Any) -> None:
    from hydra.core.config_store import ConfigStore

    node = config.thawed(Serving)
    ConfigStore.instance().store(group="serving", name="oip", node=node, provider="aeros-serving")


def _options(node: dict[str, Any]) -> Serving:
    known = {each.name for each in fields(Serving)}
    values = {key: value for key, value in node.items() if key in known}
    return Serving(**values | {"where": Where[str(node["where"])]})

"""The command ``aeros serve``."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from aeros_core.errors import ConfigError
from aeros_serving.config import Serving, Where

__all__ = ["add_serve"]

SWITCH = 0.0005
"""Seconds after which a thread of the server lets another one run Python."""


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
    from aeros_serving.served import Loader
    from aeros_serving.server import Server

    logging.basicConfig(level=logging.WARNING, format="aeros: %(message)s")
    logging.getLogger("aeros_serving").setLevel(logging.INFO)
    server = Server(Loader(registry, repository, cfg["inferencer"]), options)
    _run(server, models, options)
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


def _run(server: Any, models: Sequence[str], options: Serving) -> None:
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_served(server, models, options))


def _settle() -> None:
    """Let nothing in the process hold up those who answer for long.

    What is there now stays, so the collector of garbage need not look at it again: with torch
    that takes a tenth of a second. And a thread that wants to answer is let in sooner than
    after the usual 5 ms.
    """
    gc.collect()
    gc.freeze()
    sys.setswitchinterval(SWITCH)


async def _served(server: Any, models: Sequence[str], options: Serving) -> None:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await server.start(models)
    _settle()
    for slot in server.shelf:
        print(f"model {slot.name} version {slot.live.served.version} is ready", flush=True)
    scheme = "https" if options.certificate else "http"
    if server.http_port >= 0:
        print(f"REST on {scheme}://{options.host}:{server.http_port}", flush=True)
    if server.grpc_port >= 0:
        print(f"gRPC on {options.host}:{server.grpc_port}", flush=True)
    await ended.wait()
    print("ending: what was asked is answered first", flush=True)
    await server.stop()

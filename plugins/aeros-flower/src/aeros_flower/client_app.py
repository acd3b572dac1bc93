"""The ClientApp of aeros, for Flower's own nodes: public API of Flower alone.

In an aeros task (message type ``train.aeros``) it does what an executor does. Under
``flwr run`` it answers any ServerApp that speaks Flower's usual dialect; what it trains is
said by the run's configuration, ``aeros = "experiment=digits trainer.lr=0.1"``, and which
of the clients it is by the node's ``partition-id``.
"""

from __future__ import annotations

import json
import secrets
import shlex
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from aeros_core import config, plugins, streams
from aeros_core.errors import ConfigError
from aeros_core.messages import Action, Failure, Instruction, Reply
from aeros_flower import dialect, parcel, wire
from aeros_flower.executor import Executor
from aeros_flower.job import Job
from aeros_flower.place import Place

__all__ = ["app", "initial_arrays"]

app = ClientApp()

_KEPT, _SINCE = "aeros", "aeros-since"
"""Where a node's context keeps what its task needs: a stock node forgets its process."""


@app.train("aeros")
def serve(message: Message, context: Context) -> Message:
    """Answer a controller of aeros, as an executor does."""
    place = Place.of_node(context.node_config)
    shared = place if place.own else replace(place, name="")  # by all nodes of this process
    executor = _executor(json.dumps(shared.to_node()))
    content = message.content
    if parcel.kind_of(content) == "prepare":
        context.state.update({f"{_KEPT}.{name}": record for name, record in content.items()})
        context.state[_SINCE] = ConfigRecord({"since": secrets.token_hex(8)})
    elif executor.idle:
        kept = {
            name.removeprefix(f"{_KEPT}."): record
            for name, record in context.state.items()
            if name.startswith(f"{_KEPT}.")
        }
        executor.answer(RecordDict(kept))
    executor.stand_in(place.name, str(context.state.config_records[_SINCE]["since"]))
    answer = executor.answer(content)
    if parcel.kind_of(answer) == "prepared":
        told = wire.unpack_note(answer, "prepared") | {"name": place.name}
        answer = wire.pack_note("prepared", told)
    return Message(answer, reply_to=message)


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train from the arrays of a plain Flower strategy."""
    reply: Any = _follow(message, context, Action.TRAIN)
    metrics = MetricRecord({**_floats(reply.metrics), dialect.EXAMPLES: reply.examples})
    content = RecordDict({"arrays": dialect.arrays(reply.parameters), "metrics": metrics})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the arrays of a plain Flower strategy."""
    reply: Any = _follow(message, context, Action.EVALUATE)
    metrics = MetricRecord({**_floats(reply.metrics), dialect.EXAMPLES: reply.examples})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def initial_arrays(words: str) -> ArrayRecord:
    """Return what an aeros task of this configuration starts from, for a ServerApp.

    Args:
        words: As after ``aeros run``.

    Raises:
        ConfigError: They name what does not exist.
    """
    return dialect.arrays(_job(words)[0].initial())


def _follow(message: Message, context: Context, action: Action) -> Reply:
    job, seed = _job(str(context.run_config.get("aeros", "")))
    name = job.nodes.name(_number(context.node_config, len(job.nodes)))
    records = message.content.array_records
    told: Mapping[str, Any] = next(iter(message.content.config_records.values()), {})
    arrays = records.get("arrays") or next(iter(records.values()))
    number = int(told.get("server-round", 0))
    scalars = {"proximal_mu": float(told["proximal-mu"])} if "proximal-mu" in told else {}
    instruction = Instruction(
        round=number,
        node=name,
        parameters=dialect.read(arrays, job.layout),
        action=action,
        seed=streams.seed(seed, str(action), number, name),
        scalars=scalars,
    )
    (reply,) = job.follow([instruction], lambda: False)
    if isinstance(reply, Failure):
        raise RuntimeError(reply.reason)  # noqa: TRY004 - what the trainer met, not a type
    return reply


def _floats(metrics: Mapping[str, float]) -> dict[str, int | float | list[int] | list[float]]:
    return {name: float(value) for name, value in metrics.items()}


def _number(node: Mapping[str, Any], clients: int) -> int:
    number = node.get("partition-id")
    if not isinstance(number, int) or not 0 <= number < clients:
        raise ConfigError(
            f"partition-id={number} of this node names no client",
            exists=f"0 to {clients - 1}",
            hint='flower-supernode --node-config "partition-id=0"',
        )
    return number


@lru_cache(maxsize=4)
def _executor(told: str) -> Executor:
    return Executor(Place.of_node(json.loads(told)))


@lru_cache(maxsize=2)
def _job(words: str) -> tuple[Job, int]:
    registry = plugins.discover()
    with config.kept():
        data = config.plain(config.load(shlex.split(words), registry))
    return Job(registry, data, None), int(data["task"]["seed"])

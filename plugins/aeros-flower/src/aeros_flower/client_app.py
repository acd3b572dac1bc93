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
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from aeros_core import seeding
from aeros_core.config import store
from aeros_core.errors import AerosError
from aeros_core.messages import Action, Failure, Instruction, Reply
from aeros_core.plugins import discovery
from aeros_core.plugins.registry import Registry
from aeros_flower.executor.executor import Executor
from aeros_flower.executor.preparation import prepared
from aeros_flower.executor.task_job import TaskJob
from aeros_flower.protocol import flower_records, message_content, messages
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.site import redaction
from aeros_flower.site.redaction import ErrorKind
from aeros_flower.site.rules import Request
from aeros_flower.system.network import say

__all__ = ["app", "initial_arrays", "simulated"]

_T = TypeVar("_T")

app = ClientApp()

simulated = ClientApp()
"""The same for virtual nodes, which are processes of the controller's own user."""

_KEPT, _SINCE = "aeros", "aeros-since"
"""Where a node's context keeps what its task needs: a stock node forgets its process."""


@app.train("aeros")
def serve(message: Message, context: Context) -> Message:
    """Answer a controller of aeros, as an executor does."""
    return _silent(_served, message, context, ExecutorInfo.of_node(context.node_config))


@simulated.train("aeros")
def serve_simulated(message: Message, context: Context) -> Message:
    """Answer a controller whose user's own process this is."""
    return _served(
        message, context, replace(ExecutorInfo.of_node(context.node_config), same_user=True)
    )


def _served(message: Message, context: Context, place: ExecutorInfo) -> Message:
    executor = _executor(_shared(place))
    content = message.content
    if message_content.kind_of(content) == "prepare":
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
    if message_content.kind_of(answer) == "prepared":
        told = messages.unpack_note(answer, "prepared") | {"name": place.name}
        answer = messages.pack_note("prepared", told)
    return Message(answer, reply_to=message)


def _shared(place: ExecutorInfo) -> str:
    """Return a place as text, the same for all nodes of this process that share an executor."""
    return json.dumps((place if place.own else replace(place, name="")).to_node())


def _silent(answer: Callable[..., _T], *told: Any) -> _T:
    """Return what a function answers; Flower sends an error's text, which then says nothing."""
    try:
        return answer(*told)
    except _Told as error:
        raise RuntimeError(str(error)) from None
    except Exception as error:
        say(f"{type(error).__name__}: {error}")
        raise RuntimeError(redaction.sentence(ErrorKind.INTERNAL)) from None


class _Told(Exception):
    """An error whose text was made for the controller."""


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train from the arrays of a plain Flower strategy."""
    reply: Any = _silent(_follow, message, context, Action.TRAIN)
    metrics = MetricRecord({**_floats(reply.metrics), flower_records.EXAMPLES: reply.examples})
    content = RecordDict({"arrays": flower_records.arrays(reply.parameters), "metrics": metrics})
    return Message(content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the arrays of a plain Flower strategy."""
    reply: Any = _silent(_follow, message, context, Action.EVALUATE)
    metrics = MetricRecord({**_floats(reply.metrics), flower_records.EXAMPLES: reply.examples})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def initial_arrays(words: str) -> ArrayRecord:
    """Return what an aeros task of this configuration starts from, for a ServerApp.

    Args:
        words: As after ``aeros run``.

    Raises:
        ConfigError: They name what does not exist.
    """
    registry = discovery.discover()
    return flower_records.arrays(TaskJob(registry, _composed(words, registry), None).initial())


def _follow(message: Message, context: Context, action: Action) -> Reply:
    told = _shared(ExecutorInfo.of_node(context.node_config))
    site = _executor(told).site
    try:
        job, seed = _job(str(context.run_config.get("aeros", "")), told)
        instruction = _instruction(message, context, action, job, seed)
        site.admit_instructions([instruction])
        with site.working(action.value, 1 / len(job.nodes), round=instruction.round):
            (reply,) = job.follow([instruction], lambda: False)
        (reply,) = site.released([reply], job.rows)
        if isinstance(reply, Failure):
            raise _Told(reply.reason)
        site.sent_replies([reply], getattr(reply, "nbytes", 0), job.rows)
    except flower_records.UnexpectedRecord as error:  # of the message alone, so its sender may know
        raise _Told(str(error)) from None
    except (AerosError, ValueError) as error:
        say(redaction.whole(error))
        raise _Told(site.refused(error)) from None
    return reply


def _instruction(
    message: Message, context: Context, action: Action, job: TaskJob, seed: int
) -> Instruction:
    """Return what a message of Flower's usual dialect asks of a client."""
    name = job.nodes.name(_number(context.node_config, len(job.nodes)))
    records = message.content.array_records
    told: Mapping[str, Any] = next(iter(message.content.config_records.values()), {})
    arrays = records.get("arrays") or next(iter(records.values()))
    number = int(told.get("server-round", 0))
    scalars = {"proximal_mu": float(told["proximal-mu"])} if "proximal-mu" in told else {}
    return Instruction(
        round=number,
        node=name,
        parameters=flower_records.read(arrays, job.layout),
        action=action,
        seed=seeding.seed(seed, str(action), number, name),
        scalars=scalars,
    )


def _floats(metrics: Mapping[str, float]) -> dict[str, int | float | list[int] | list[float]]:
    return {name: float(value) for name, value in metrics.items()}


def _number(node: Mapping[str, Any], clients: int) -> int:
    number = node.get("partition-id")
    if not isinstance(number, int) or not 0 <= number < clients:
        say('next: flower-supernode --node-config "partition-id=0"')
        raise _Told(f"partition-id={number} of this node names no client")
    return number


@lru_cache(maxsize=4)
def _executor(told: str) -> Executor:
    return Executor(ExecutorInfo.of_node(json.loads(told)))


def _composed(words: str, registry: Registry) -> dict[str, Any]:
    with store.preserved_store():
        return store.plain(store.load(shlex.split(words), registry))


@lru_cache(maxsize=2)
def _job(words: str, told: str) -> tuple[TaskJob, int]:
    """Return what a task's words ask for, where the site of a place allows it, and its seed."""
    registry, place = discovery.discover(), ExecutorInfo.of_node(json.loads(told))
    site = _executor(told).site
    data = _composed(words, registry)
    asked = Request(data)
    site.admit_task(asked, registry)
    with site.working("prepare"):
        job = prepared(registry, replace(place, own=False), site.policy, asked)
    site.admit_data(job.fewest, job.sending)
    return job, int(data["task"]["seed"])

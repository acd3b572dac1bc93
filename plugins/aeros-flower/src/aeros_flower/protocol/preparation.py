"""What nodes are sent before a task: its configuration, the model they predict with, the plan.

A model is described; its parameters come with instructions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flwr.app import RecordDict

from aeros_core.arrays import Array
from aeros_core.messages import State
from aeros_core.parameters import Layout, Parameters
from aeros_core.records import Model
from aeros_core.schema import Schema
from aeros_flower.protocol.data_plan import (
    DataPlan,
    described_state,
    described_states,
    read_state,
    read_states,
)
from aeros_flower.protocol.message_content import Block, WireError, of, opened, pack

__all__ = [
    "described",
    "pack_preparation",
    "pack_summary",
    "pack_summary_request",
    "read",
    "unpack_preparation",
    "unpack_summary",
    "unpack_summary_request",
]


def pack_preparation(
    identity: str,
    config: Mapping[str, Any],
    model: Model | None = None,
    plan: DataPlan | None = None,
) -> RecordDict:
    """Return the message that asks a node to prepare for a task.

    Args:
        identity: Of what decides the task's result.
        config: What of the task's configuration a node needs.
        model: What nodes are to answer with; None: they are to train.
        plan: What nodes that train bring their data to.
    """
    block = Block()
    head: dict[str, Any] = {"identity": identity, "config": dict(config)}
    if model is not None:
        head["model"] = described(model, block)
    if plan is not None:
        head["plan"] = plan.pack(block)
    return pack("prepare", head, {"fitted": block})


def unpack_preparation(
    content: RecordDict,
) -> tuple[dict[str, Any], Model | None, DataPlan | None]:
    """Return what `pack_preparation` wrote: the configuration, the model and the plan, if any.

    The model has no parameters yet.

    Raises:
        WireError: Something is missing, or of another type or size.
    """
    head, blocks = opened(content, "prepare")
    told, config = head.get("model"), of(head.get("config"), dict, "config")
    arrays, planned = blocks.get("fitted", []), head.get("plan")
    model = None if told is None else read(of(told, dict, "model"), arrays)
    plan = None if planned is None else DataPlan.unpack(of(planned, dict, "plan"), arrays)
    return config, model, plan


def pack_summary_request(step: str, fitted: Mapping[str, State]) -> RecordDict:
    """Return the message that asks a node for the summary from which a step is fitted.

    Args:
        step: Name of the step.
        fitted: States of the fitted steps before it, by name.
    """
    block = Block()
    head = {"step": step, "fitted": described_states(fitted, block)}
    return pack("summarise", head, {"fitted": block})


def unpack_summary_request(content: RecordDict) -> tuple[str, dict[str, State]]:
    """Read what `pack_summary_request` wrote.

    Raises:
        WireError: Something is missing, or of another type or size.
    """
    head, blocks = opened(content, "summarise")
    fitted = read_states(of(head.get("fitted"), dict, "fitted"), blocks.get("fitted", []))
    return of(head.get("step"), str, "step"), fitted


def pack_summary(summary: State) -> RecordDict:
    """Return the message with a node's summary."""
    block = Block()
    return pack("summary", {"summary": described_state(summary, block)}, {"summary": block})


def unpack_summary(content: RecordDict) -> State:
    """Read what `pack_summary` wrote.

    Raises:
        WireError: Something is missing, or of another type or size.
    """
    head, blocks = opened(content, "summary")
    return read_state(of(head.get("summary"), dict, "summary"), blocks.get("summary", []))


def described(model: Model, block: Block) -> dict[str, Any]:
    """Return a model as plain data; the arrays of its fitted steps go into the block."""
    return {
        "name": model.name,
        "schema": model.schema.to_json(),
        "inputs": None if model.inputs is None else model.inputs.to_json(),
        "module": dict(model.module),
        "transformers": {name: dict(node) for name, node in model.transformers.items()},
        "behind": list(model.behind),
        "fitted": described_states(model.fitted, block),
    }


def read(told: Mapping[str, Any], arrays: Sequence[Array]) -> Model:
    """Read what `described` wrote: a model without parameters.

    Raises:
        WireError: Something is missing, or of another type or size.
    """
    inputs = told.get("inputs")
    fitted = of(told.get("fitted"), dict, "fitted")
    return Model(
        name=of(told.get("name"), str, "name"),
        parameters=Parameters(Layout(()), {}),
        schema=_schema(told.get("schema")),
        inputs=None if inputs is None else _schema(inputs),
        module=of(told.get("module"), dict, "module"),
        transformers=of(told.get("transformers"), dict, "transformers"),
        behind=tuple(of(n, str, "behind") for n in of(told.get("behind"), list, "behind")),
        fitted=read_states(fitted, arrays),
    )


def _schema(told: object) -> Schema:
    try:
        return Schema.from_json(of(told, dict, "schema"))
    except (KeyError, TypeError, AttributeError) as error:
        raise WireError(f"a schema that is none: {error}") from None

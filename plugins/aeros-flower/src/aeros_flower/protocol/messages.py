"""Instructions and replies as Flower's records, and back; see `message_content`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from flwr.app import RecordDict

from aeros_core.arrays import Array
from aeros_core.encoding import Decoder, Encoded
from aeros_core.federated.updates.reply_limits import MOST_FIGURES, MOST_SHARES, figures_fault
from aeros_core.federated.updates.validation import of_examples
from aeros_core.messages import Action, Evaluation, Failure, Instruction, Predictions, Reply, Update
from aeros_core.parameters import Layout, Parameters
from aeros_core.tasks.round_counters import Refusal
from aeros_flower.protocol.data_plan import shaped
from aeros_flower.protocol.layouts import misfit, read_parameters
from aeros_flower.protocol.message_content import (
    ALONE,
    Block,
    WireError,
    floats,
    named,
    number,
    numbers,
    of,
    opened,
    opened_head,
    pack,
    rows,
)
from aeros_flower.protocol.request_limits import check_instructions

__all__ = [
    "model_of",
    "pack_instructions",
    "pack_note",
    "pack_replies",
    "session_of",
    "unpack_instructions",
    "unpack_note",
    "unpack_replies",
]

_COUNTED = ("examples", "figures", "not finite")
"""What a failure may be counted by where its executor says so."""

# ---------------------------------------------------------------- writing


def pack_note(kind: str, head: Mapping[str, Any]) -> RecordDict:
    """Return a message without arrays: plain data."""
    return pack(kind, dict(head), {})


def model_of(parameters: Parameters) -> Block:
    """Return parameters as a block, for all messages that carry them."""
    block = Block()
    for vector in parameters.vectors.values():
        block.add(vector)
    return block


def pack_instructions(
    instructions: Sequence[Instruction], session: str = "", model: Block | None = None
) -> RecordDict:
    """Return instructions of one round for the clients of one executor as one message.

    All share their parameters, action, patterns and deadline, which travel once.

    Args:
        instructions: At least one.
        session: Names the run, across restarts of the controller.
        model: Their parameters, where these were made a block before; see `model_of`.
    """
    first, more = instructions[0], Block()
    model = model or model_of(first.parameters)
    vectors = first.parameters.vectors
    head = {
        "session": session,
        "round": first.round,
        "action": first.action.value,
        "deadline": first.deadline,
        "personal": list(first.personal),
        "delta": first.delta,
        "layout": first.parameters.layout.to_json(),
        "digest": first.parameters.layout.digest,
        "parameters": {dtype: model.add(vectors[dtype]) for dtype in vectors},
        "nodes": [
            {
                "node": told.node,
                "seed": told.seed,
                "scalars": dict(told.scalars),
                "vectors": {name: more.add(v) for name, v in told.vectors.items()},
            }
            for told in instructions
        ],
    }
    return pack("instructions", head, {"parameters": model, "vectors": more})


def pack_replies(replies: Iterable[Reply]) -> RecordDict:
    """Return what the clients of one executor answer as one message."""
    block = Block()
    kept: list[Any] = []  # arrays stay alive, so that no two share an id
    told = [_reply_row(reply, block, kept) for reply in replies]
    return pack("replies", {"replies": told}, {"vectors": block}, ALONE)


def _reply_row(reply: Reply, block: Block, kept: list[Any]) -> dict[str, Any]:
    if isinstance(reply, Update):
        return _update_row(reply, block, kept)
    row: dict[str, Any] = {"node": reply.node, "round": reply.round}
    if isinstance(reply, Failure):
        return row | {"kind": "failure", "reason": reply.reason, "counted": reply.kind}
    row |= {"examples": int(reply.examples), "metrics": floats(reply.metrics)}
    if isinstance(reply, Predictions):
        arrays = {name: np.asarray(array) for name, array in reply.outputs.items()}
        kept += arrays.values()
        shapes = {name: list(array.shape) for name, array in arrays.items()}
        places = {name: block.add(array) for name, array in arrays.items()}
        return row | {"kind": "scores", "outputs": places, "shapes": shapes}
    return row | {"kind": "evaluation"}


def _update_row(update: Update, block: Block, kept: list[Any]) -> dict[str, Any]:
    vectors = update.parameters.vectors
    arrays = vectors.arrays if type(vectors) is Encoded else vectors
    kept += arrays.values()
    kept += update.vectors.values()
    return {
        "kind": "update",
        "node": update.node,
        "round": update.round,
        "examples": int(update.examples),
        "metrics": floats(update.metrics),
        "scalars": floats(update.scalars),
        "vectors": {name: block.add(v) for name, v in update.vectors.items()},
        "delta": update.delta,
        "digest": update.parameters.layout.digest,
        "encoded": arrays is not vectors,
        "parameters": {name: block.add(v) for name, v in arrays.items()},
    }


# ---------------------------------------------------------------- reading


def unpack_note(content: RecordDict, kind: str) -> dict[str, Any]:
    """Read what `pack_note` wrote.

    Raises:
        WireError: It is another kind of message.
    """
    return opened_head(content, kind)


def session_of(content: RecordDict) -> str:
    """Return the session that instructions are of.

    Raises:
        WireError: They say none.
    """
    return of(opened_head(content, "instructions").get("session"), str, "session")


def unpack_instructions(content: RecordDict) -> list[Instruction]:
    """Read what `pack_instructions` wrote.

    Raises:
        WireError: Something is missing, of another type, or of another size.
    """
    head, blocks = opened(content, "instructions")
    parameters = read_parameters(head, blocks.get("parameters", []))
    deadline = head.get("deadline")
    action = of(head.get("action"), str, "action")
    if action not in list(Action):
        raise WireError(f"action '{action}' is unknown")
    personal = tuple(of(p, str, "personal") for p in of(head.get("personal"), list, "personal"))
    found = [
        Instruction(
            round=of(head.get("round"), int, "round"),
            node=of(told.get("node"), str, "node"),
            parameters=parameters,
            action=Action(action),
            seed=of(told.get("seed"), int, "seed"),
            scalars=numbers(told, "scalars"),
            vectors=named(told, "vectors", blocks.get("vectors", [])),
            deadline=None if deadline is None else number(deadline, "deadline"),
            personal=personal,
            delta=of(head.get("delta"), bool, "delta"),
        )
        for told in rows(head, "nodes")
    ]
    check_instructions(found)
    return found


def unpack_replies(
    content: RecordDict, layout: Layout | None, codec: Decoder | None = None
) -> list[Reply]:
    """Read what `pack_replies` wrote.

    Args:
        content: The message.
        layout: Layout of the global parameters; an update of any other is a Failure.
        codec: What reads compressed updates; without one they are Failures.

    Raises:
        WireError: Something is missing, of another type, or of another size.
    """
    head, blocks = opened(content, "replies")
    arrays = blocks.get("vectors", [])
    return [_reply(row, arrays, layout, codec) for row in rows(head, "replies")]


def _reply(
    row: Mapping[str, Any], arrays: Sequence[Array], layout: Layout | None, codec: Decoder | None
) -> Reply:
    node, at = of(row.get("node"), str, "node"), of(row.get("round"), int, "round")
    kind = row.get("kind")
    if kind == "failure":
        counted = row.get("counted")
        reason = of(row.get("reason"), str, "reason")[:2000]
        return Failure(node, at, reason, counted if counted in _COUNTED else "failed")
    examples: Any = row.get("examples")
    if refusal := of_examples(examples) or _figures_fault(row):
        return Failure(node, at, refusal.text, refusal.kind)
    metrics = numbers(row, "metrics")
    if kind == "evaluation":
        return Evaluation(node, at, examples, metrics)
    if kind == "scores":
        shapes = of(row.get("shapes"), dict, "shapes")
        found = named(row, "outputs", arrays)
        outputs = {name: shaped(array, shapes.get(name), name) for name, array in found.items()}
        return Predictions(node, at, examples, metrics, outputs)
    if kind != "update":
        raise WireError(f"a reply of kind {kind!r}")
    if layout is None or row.get("digest") != layout.digest:
        return Failure(node, at, "another layout than the global parameters", "layout")
    found = named(row, "parameters", arrays)
    if of(row.get("encoded"), bool, "encoded"):
        if codec is None:
            return Failure(node, at, "a compressed update, but no codec is chosen", "encoding")
        parameters = Parameters(layout, Encoded(found, layout.sizes, codec))
    elif wrong := misfit(found, layout):
        return Failure(node, at, wrong, "layout")
    else:
        parameters = Parameters.trusted(layout, found)
    return Update(
        node=node,
        round=at,
        parameters=parameters,
        examples=examples,
        metrics=metrics,
        scalars=numbers(row, "scalars"),
        vectors=named(row, "vectors", arrays),
        delta=of(row.get("delta"), bool, "delta"),
    )


def _figures_fault(row: Mapping[str, Any]) -> Refusal | None:
    """Return why the metrics or scalars of a reply are refused, before they are read."""
    most = {"metrics": MOST_SHARES} if row.get("kind") == "scores" else {}
    told = (row.get("metrics", {}), "metrics"), (row.get("scalars", {}), "scalars")
    found = (figures_fault(f, n, most.get(n, MOST_FIGURES), infinite=True) for f, n in told)
    return next(filter(None, found), None)

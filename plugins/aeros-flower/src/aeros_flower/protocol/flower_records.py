"""Instructions and updates in the dialect of plain Flower apps.

Arrays by tensor name in a record ``arrays``, the round and what a rule announces in a
record ``config``; back come ``arrays`` and ``metrics`` with ``num-examples``. That is what
ClientApps written for Flower's own strategies read and write, so one that knows nothing of
aeros takes part; what it sends is checked as strictly as any update.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeVar

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from aeros_core.arrays import Array as Numbers
from aeros_core.arrays import on_host
from aeros_core.messages import Action, Evaluation, Failure, Instruction, Reply, Update
from aeros_core.numerics.dtypes import is_real
from aeros_core.parameters import Layout, Parameters, TensorSpec

__all__ = ["EXAMPLES", "UnexpectedRecord", "arrays", "pack", "parameters", "read", "unpack"]

_Record = TypeVar("_Record", ArrayRecord, MetricRecord)

EXAMPLES = "num-examples"
"""The metric by which plain Flower strategies weight replies."""


class UnexpectedRecord(ValueError):
    """A record that cannot be read as what it should be."""


def pack(instruction: Instruction, config: Mapping[str, Any] | None = None) -> RecordDict:
    """Return an instruction as a plain Flower strategy would send it.

    Vectors that a rule announces, and patterns of what stays on a node, have no place in
    this dialect.

    Args:
        instruction: What to do.
        config: What its record ``config`` says beside round, seed and the rule's numbers.

    Raises:
        Odd: The instruction carries one of these.
    """
    if instruction.vectors or instruction.personal:
        raise UnexpectedRecord(
            "plain Flower apps know neither vectors of a rule nor tensors that stay"
        )
    told = {
        **(config or {}),
        "server-round": instruction.round,
        "seed": instruction.seed & 0x7FFF_FFFF_FFFF_FFFF,
        **{name.replace("_", "-"): float(v) for name, v in instruction.scalars.items()},
    }
    return RecordDict({"arrays": arrays(instruction.parameters), "config": ConfigRecord(told)})


def unpack(content: RecordDict, asked: Instruction) -> Reply:
    """Read what a plain Flower app answered; what cannot be read is a Failure.

    Args:
        content: The reply.
        asked: What it answers.
    """
    try:
        metrics = _metrics(content)
        examples = _examples(metrics)
        if asked.action is Action.EVALUATE:
            return Evaluation(asked.node, asked.round, examples, metrics)
        found = _only(content.array_records, "arrays")
        got = read(found, asked.parameters.layout)
    except UnexpectedRecord as error:
        return Failure(asked.node, asked.round, str(error))
    if asked.delta:
        for dtype, sent in asked.parameters.vectors.items():
            if is_real(dtype):  # integers and truth values travel as values
                np.subtract(got.vectors[dtype], on_host(sent), out=got.vectors[dtype])
    return Update(asked.node, asked.round, got, examples, metrics, delta=asked.delta)


def arrays(parameters: Parameters) -> ArrayRecord:
    """Return parameters as one array a tensor."""
    found = {name: np.asarray(on_host(value), order="C") for name, value in parameters.items()}
    return ArrayRecord({name: Array(value) for name, value in found.items()})


def parameters(record: ArrayRecord) -> Parameters:
    """Read parameters whose layout is the record's own.

    Raises:
        Odd: An array cannot be read.
    """
    return Parameters.of({name: _array(name, array) for name, array in record.items()})


def read(record: ArrayRecord, layout: Layout) -> Parameters:
    """Read parameters of a layout; arrays are taken by name, or by number where they have none.

    Numbers of another precision are rounded to the model's.

    Raises:
        Odd: A tensor is missing, unknown, of another shape or kind.
    """
    names = [spec.name for spec in layout.tensors]
    known = {str(number): name for number, name in enumerate(names)}
    renamed = record.keys() == known.keys() and record.keys() != set(names)
    found = {known[key] if renamed else key: array for key, array in record.items()}
    if wrong := sorted(found.keys() ^ set(names)):
        how = "unknown" if wrong[0] in found else "missing"
        raise UnexpectedRecord(f"tensor '{wrong[0]}' is {how}")
    read = Parameters.zeros(layout)
    for spec in layout.tensors:
        read[spec.name][...] = _fitting(spec, found[spec.name])
    return read


def _fitting(spec: TensorSpec, array: Array) -> Numbers:
    if len(array.data) > 8 * max(spec.size, 1) + 4096:  # more than float64 would take
        raise UnexpectedRecord(f"tensor '{spec.name}' has {len(array.data)} bytes")
    values = _array(spec.name, array)
    if values.shape != spec.shape:
        raise UnexpectedRecord(f"tensor '{spec.name}' has shape {values.shape}, not {spec.shape}")
    if not np.can_cast(values.dtype, np.dtype(spec.dtype), "same_kind"):
        raise UnexpectedRecord(
            f"tensor '{spec.name}' has numbers of {values.dtype}, not {spec.dtype}"
        )
    with np.errstate(over="ignore"):  # what does not fit is infinite, and refused as that
        return values.astype(spec.dtype, copy=False)


def _array(name: str, array: Array) -> Numbers:
    try:
        return np.asarray(array.numpy())
    except (ValueError, TypeError, EOFError, OSError) as error:
        raise UnexpectedRecord(f"tensor '{name}' cannot be read: {error}") from None


def _metrics(content: RecordDict) -> Mapping[str, float]:
    record = _only(content.metric_records, "metrics")
    return {
        name: float(value)
        for name, value in record.items()
        if isinstance(value, int | float) and math.isfinite(value) and name != "examples"
    }


def _examples(metrics: Mapping[str, float]) -> int:
    examples = metrics.get(EXAMPLES, 0.0)
    if examples < 1 or examples != int(examples) or examples > 2**53:
        raise UnexpectedRecord(f"metrics say {EXAMPLES}={examples:g}, not how many examples it has")
    return int(examples)


def _only(records: Mapping[str, _Record], what: str) -> _Record:
    if what in records:
        return records[what]
    if len(records) != 1:
        raise UnexpectedRecord(f"a reply with {len(records)} records of {what}")
    return next(iter(records.values()))

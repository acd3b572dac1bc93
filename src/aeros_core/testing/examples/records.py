"""Records to store, and what makes two of them the same."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from aeros_core.messages import State
from aeros_core.parameters import Layout, Parameters
from aeros_core.records import Checkpoint, Model, Run
from aeros_core.results import Result, Round, Status
from aeros_core.schema import Field, Schema

__all__ = [
    "any_parameters",
    "any_values",
    "checkpoint",
    "model",
    "result",
    "round_",
    "run",
    "same_checkpoint",
    "same_parameters",
    "same_states",
    "state",
    "tensors",
    "text",
]

_DTYPES = ["float32", "float64", "float16", "int64", "int32", "int8", "uint8", "bool"]

# ---------------------------------------------------------------- examples


def run(name: str, *, task: str = "task", created: str = "2026-01-01T00:00:00+00:00") -> Run:
    """Return a run."""
    config = {"task": {"seed": 1, "rate": 0.1, "name": None}, "list": [1, True, "x"]}
    return Run(name, task, "f" * 64, config, {"python": "3.11"}, created)


def round_(number: int) -> Round:
    """Return a round with something in every field."""
    return Round(
        number=number,
        metrics={"accuracy": 0.1 * number, "loss": 1 / 3},
        federated={},
        training={"loss": math.nan if number == 2 else math.inf},
        nodes={"client-0": {"examples": 12, "loss": 0.2}},
        refused={"client-1": "holds NaN"},
        seconds={"total": 0.7},
        sent=2**40 + number,
        received=0,
        dropped={"client-1": {"not finite": 1}},
        capped={"client-0": {"train": 6}},
    )


def tensors(seed: int) -> Parameters:
    """Return parameters of several dtypes."""
    rng = np.random.default_rng(seed)
    return Parameters.of(
        {
            "dense.weight": rng.standard_normal((3, 5), dtype=np.float32),
            "dense.bias": rng.standard_normal(5, dtype=np.float32),
            "norm.batches": np.array(2**62 + seed, dtype=np.int64),
        }
    )


def state(seed: int) -> State:
    """Return a state with arrays and scalars of every kind."""
    return {
        "momentum": np.random.default_rng(seed).standard_normal(20, dtype=np.float32),
        "counts": np.arange(6, dtype=np.int64).reshape(2, 3) + 2**60,
        "step": seed,
        "generator": 2**127 + seed,
        "rate": 0.1 + seed,
        "never": math.nan,
        "best": -math.inf,
        "zero": -0.0,
        "name": "Größe \u2603",
    }


def checkpoint(number: int, seed: int = 0) -> Checkpoint:
    """Return a checkpoint of round ``number``."""
    states: Mapping[str, State] = {"collector": state(number + seed), "trainer": {}}
    return Checkpoint(round_(number), tensors(100 * number + seed), states, 1.5 * number)


def result(status: Status) -> Result:
    """Return how a run ended."""
    model: dict[str, str | int] = {"name": "model", "version": 1, "digest": "f" * 64}
    return Result("task", status, 3, {"accuracy": 0.97}, model, 1.25, 10, 20, {"python": "3.11"})


def model(name: str = "model", seed: int = 0) -> Model:
    """Return a model with something in every field."""
    fields = (Field("image", "float32", (28, 28), (0.0, 255.0)), Field("label", "int64"))
    return Model(
        name=name,
        parameters=tensors(seed),
        schema=Schema(fields, "label"),
        module={"_target_": "somewhere.Module", "hidden": [200, 10]},
        transformers={"standardise": {"epsilon": 1e-8}, "reshape": {}},
        fitted={"standardise": {"mean": np.arange(3, dtype=np.float64) / 3, "count": 12}},
        run="a",
        round=3,
        metrics={"accuracy": 0.97},
        versions={"python": "3.11"},
        parents=("e" * 64,),
        inputs=Schema((Field("pixels", "uint8", (784,)), fields[1]), "label"),
        behind=("standardise",),
        samples={"image": np.full((2, 28, 28), seed, np.float32)},
    )


def any_parameters() -> st.SearchStrategy[Parameters]:
    """Draw parameters of any layout and any bits."""
    shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
    tensors = st.tuples(shapes, st.sampled_from(_DTYPES))
    layouts = st.dictionaries(st.text(max_size=6), tensors, max_size=6).map(Layout.of)
    return st.builds(_filled, layouts, st.integers(0, 2**32))


def _filled(layout: Layout, seed: int) -> Parameters:
    parameters = Parameters.zeros(layout)
    rng = np.random.default_rng(seed)
    for dtype, vector in parameters.vectors.items():
        top = 2 if dtype == "bool" else 256
        bits = rng.integers(0, top, vector.nbytes, dtype=np.uint8)
        vector[:] = bits.view(vector.dtype)
    return parameters


def any_values() -> st.SearchStrategy[Any]:
    """Draw what a state may hold."""
    arrays = st.builds(
        lambda shape, dtype, seed: _filled(Layout.of({"a": (shape, dtype)}), seed)["a"].copy(),
        st.lists(st.integers(0, 3), max_size=3).map(tuple),
        st.sampled_from(_DTYPES),
        st.integers(0, 2**32),
    )
    return st.one_of(st.integers(), st.floats(width=64), st.text(max_size=8), arrays)


# ---------------------------------------------------------------- sameness


def same_checkpoint(stored: Checkpoint, found: Checkpoint | None) -> None:
    """Demand the same checkpoint, bit for bit."""
    assert found is not None
    assert text([found.round]) == text([stored.round])
    assert found.seconds == stored.seconds
    same_parameters(stored.parameters, found.parameters)
    same_states(stored.state, found.state)


def text(rounds: list[Round]) -> str:
    """Return rounds as text, in which NaN is equal to itself."""
    return json.dumps([round.to_json() for round in rounds])


def same_parameters(stored: Parameters, found: Parameters) -> None:
    """Demand the same parameters, bit for bit."""
    assert found.layout == stored.layout
    assert set(found.vectors) == set(stored.vectors)
    for dtype, vector in stored.vectors.items():
        assert found.vectors[dtype].dtype == dtype
        assert found.vectors[dtype].tobytes() == vector.tobytes()


def same_states(stored: Mapping[str, State], found: Mapping[str, State]) -> None:
    """Demand the same states, bit for bit."""
    assert set(found) == set(stored)
    for owner, state in stored.items():
        assert set(found[owner]) == set(state)
        for name, value in state.items():
            assert _bits(found[owner][name]) == _bits(value)


def _bits(value: Any) -> object:
    if isinstance(value, float):
        return "float", struct.pack(">d", value)
    if isinstance(value, int | str):
        return type(value).__name__, value
    return str(value.dtype), value.shape, value.tobytes()

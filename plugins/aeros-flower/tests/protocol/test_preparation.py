"""A model described to nodes comes back as it was, but for its parameters."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_core.parameters import Parameters
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_flower.protocol import data_plan, preparation
from aeros_flower.protocol.message_content import Block, WireError

SCHEMA = Schema(
    (
        Field("x", "float32", (None, 3), range=(0.0, 1.0), unit="m"),
        Field("y", "int64", (), categories=("a", "b")),
    ),
    target="y",
)
FITTED = {
    "scale": {
        "mean": np.array([[1.5, 2.5], [3.5, np.inf]]),
        "count": np.array(7, "int64"),
        "names": "x,y",
        "rows": 12,
        "tiny": 0.1,
    }
}
MODEL = Model(
    "digits",
    Parameters.of({"w": np.ones(3, "float32")}),
    SCHEMA,
    module={"_target_": "pkg.Net", "hidden": [4, 5]},
    transformers={"scale": {"_target_": "pkg.Scale", "fields": ["x"]}},
    fitted=FITTED,
    behind=("scale",),
    inputs=SCHEMA.without("y"),
)


def test_a_model_comes_back_as_it_was_without_its_parameters():
    config = {"task": {"name": "ask"}, "inferencer": None}
    content = preparation.pack_preparation("identity", config, MODEL)
    told, found, _ = preparation.unpack_preparation(content)
    assert told == config
    for name in ("name", "schema", "inputs", "module", "transformers", "behind"):
        assert getattr(found, name) == getattr(MODEL, name)
    assert found.parameters.nbytes == 0
    state = dict(found.fitted["scale"])
    assert (state["names"], state["rows"], state["tiny"]) == ("x,y", 12, 0.1)
    for name in ("mean", "count"):
        was = FITTED["scale"][name]
        assert (state[name].dtype, state[name].shape) == (was.dtype, was.shape)
        np.testing.assert_array_equal(state[name], was)


def test_a_task_that_trains_describes_none():
    content = preparation.pack_preparation("identity", {"trainer": {}})
    assert preparation.unpack_preparation(content) == ({"trainer": {}}, None, None)


PLACES = [
    ("name",), ("schema",), ("schema", "fields"), ("schema", "target"), ("inputs",), ("module",),
    ("transformers",), ("behind",), ("fitted",), ("fitted", "scale"), ("fitted", "scale", "arrays"),
    ("fitted", "scale", "arrays", "mean"), ("fitted", "scale", "shapes"),
    ("fitted", "scale", "shapes", "mean"), ("fitted", "scale", "told"),
]  # fmt: skip
JUNK = st.none() | st.integers() | st.text(max_size=3) | st.lists(st.integers(-3, 9), max_size=3)


@settings(max_examples=150, deadline=None)
@given(place=st.sampled_from(PLACES), value=JUNK)
def test_whatever_a_stranger_describes_is_read_or_refused(place, value):
    block = Block()
    told = json.loads(json.dumps(preparation.described(MODEL, block)))
    arrays = [np.ones(n, dtype) for dtype, n in block.table]
    inner = told
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    try:
        read = isinstance(preparation.read(told, arrays), Model)
    except WireError as refused:
        read = bool(str(refused))
    assert read


@pytest.mark.parametrize("shape", [[2], [2, -2], [4, 1, 1, 2], "4", [2, 2.0], None, [True, 4]])
def test_an_array_is_not_read_in_a_shape_that_it_does_not_have(shape):
    with pytest.raises(WireError):
        data_plan.shaped(np.ones(4), shape, "scores")

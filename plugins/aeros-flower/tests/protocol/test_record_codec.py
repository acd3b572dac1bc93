"""Records that pass to another process come out as they went in."""

import json

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from hypothesis import given
from hypothesis import strategies as st

from aeros_flower.protocol import record_codec

NAMES = st.text(min_size=1, max_size=8)
SCALARS = st.one_of(
    st.integers(-(2**62), 2**62), st.floats(allow_nan=False), st.text(max_size=9),
    st.booleans(), st.binary(max_size=9),
)  # fmt: skip
LISTS = st.one_of(
    st.lists(st.binary(max_size=5), max_size=3), st.lists(st.integers(-9, 9), max_size=3),
    st.lists(st.text(max_size=4), max_size=3),
)  # fmt: skip
NUMBERS = st.one_of(st.integers(-(2**62), 2**62), st.floats(allow_nan=False))


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, SCALARS | LISTS, max_size=4), max_size=3))
def test_settings(told):
    content = RecordDict({name: ConfigRecord(values) for name, values in told.items()})
    back = through(content)
    assert {name: dict(record) for name, record in back.config_records.items()} == told


@given(st.dictionaries(NAMES, NUMBERS, max_size=4))
def test_figures(told):
    back = through(RecordDict({"metrics": MetricRecord(told)}))
    assert dict(back["metrics"]) == told


def test_arrays_beside_others():
    arrays = {"w": np.arange(6, dtype="float32").reshape(2, 3), "b": np.zeros(0, "float64")}
    content = RecordDict({
        "arrays": ArrayRecord({name: Array(value) for name, value in arrays.items()}),
        "config": ConfigRecord({"data": b"\x00\xff", "round": 3}),
    })  # fmt: skip
    back = through(content)
    assert list(back) == ["arrays", "config"]
    for name, value in arrays.items():
        found = back["arrays"][name]
        assert np.array_equal(found.numpy(), value)
        assert found.stype == content["arrays"][name].stype
    assert dict(back["config"]) == {"data": b"\x00\xff", "round": 3}


def through(content):
    head, blocks = record_codec.pack(content)
    return record_codec.unpack(json.loads(json.dumps(head)), blocks)

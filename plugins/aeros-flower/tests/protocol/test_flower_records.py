"""The dialect of plain Flower apps, against Flower's own strategy and a plain ClientApp."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import (
    aggregate_arrayrecords,
    validate_message_reply_consistency,
)
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.federated.updates.validation import fault
from aeros_core.messages import Action, Evaluation, Failure, Instruction, Update
from aeros_core.parameters import Parameters
from aeros_flower.protocol import flower_records

BASE = Parameters.of(
    {
        "w": np.arange(6, dtype="float32").reshape(2, 3),
        "b": np.ones(2, dtype="float32"),
        "seen": np.array(7, dtype="int64"),
    }
)


def asked(**changed):
    return Instruction(
        **({"round": 3, "node": "edge", "parameters": BASE, "seed": 2**64 - 1} | changed)
    )


def reply(tensors=None, examples=5, **metrics):
    tensors = dict(BASE.items()) if tensors is None else tensors
    arrays = ArrayRecord({name: Array(np.asarray(value)) for name, value in tensors.items()})
    counted = {} if examples is None else {flower_records.EXAMPLES: examples}
    return RecordDict({"arrays": arrays, "metrics": MetricRecord(counted | metrics)})


def failed(content, why, **changed):
    got = flower_records.unpack(content, asked(**changed))
    assert isinstance(got, Failure)
    assert why in got.reason
    assert (got.node, got.round) == ("edge", 3)


def test_what_is_sent_is_what_flowers_strategies_send():
    content = flower_records.pack(asked(scalars={"proximal_mu": 0.5}))
    assert list(content["arrays"]) == ["w", "b", "seen"]
    assert np.array_equal(content["arrays"]["w"].numpy(), BASE["w"])
    assert content["config"]["server-round"] == 3
    assert content["config"]["proximal-mu"] == 0.5  # as flwr.serverapp.strategy.FedProx names it
    RecordDict.inflate(content.deflate(), {c.object_id: c for c in content.children.values()})


def test_flowers_own_rules_take_what_is_answered():
    replies = [
        reply({n: np.asarray(v) * examples for n, v in BASE.items()}, examples)
        for examples in (1, 3)
    ]
    validate_message_reply_consistency(replies, flower_records.EXAMPLES, True)
    mean = aggregate_arrayrecords(replies, flower_records.EXAMPLES)
    updates = [flower_records.unpack(content, asked()) for content in replies]
    ours = sum(u.examples * u.parameters["w"] for u in updates) / 4
    assert np.allclose(ours, mean["w"].numpy())


def test_an_answer_is_an_update_that_passes_admission():
    got = flower_records.unpack(reply(loss=0.5), asked())
    assert isinstance(got, Update)
    assert got.examples == 5
    assert got.metrics["loss"] == 0.5
    assert got.parameters.layout == BASE.layout
    assert fault(got, BASE, None) is None


def test_a_difference_where_one_is_asked_for():
    tensors = {name: np.asarray(value) + 1 for name, value in BASE.items()}
    got = flower_records.unpack(reply(tensors), asked(delta=True))
    assert got.delta
    assert np.array_equal(got.parameters["w"], np.ones((2, 3)))
    assert np.array_equal(BASE["b"], [1, 1])


def test_arrays_without_names_are_taken_in_order():
    values = [np.asarray(value) for _, value in BASE.items()]
    record = ArrayRecord(values)
    content = RecordDict({"model": record, "m": MetricRecord({flower_records.EXAMPLES: 2})})
    got = flower_records.unpack(content, asked())
    assert np.array_equal(got.parameters["w"], BASE["w"])


def test_other_precision_is_rounded_to_the_models():
    tensors = dict(BASE.items()) | {"w": np.full((2, 3), 1 / 3, "float64")}
    got = flower_records.unpack(reply(tensors), asked())
    assert got.parameters["w"].dtype == np.float32
    assert np.allclose(got.parameters["w"], 1 / 3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_what_is_not_finite_is_left_to_admission(value):
    got = flower_records.unpack(reply(dict(BASE.items()) | {"b": np.array([0, value])}), asked())
    assert fault(got, BASE, None).kind == "not finite"


@pytest.mark.parametrize(("change", "why"), [
    ({"b": np.zeros(3, "float32")}, "tensor 'b' has shape (3,), not (2,)"),
    ({"b": np.zeros(2, "complex64")}, "tensor 'b' has numbers of complex64, not float32"),
    ({"seen": np.array(1.5)}, "tensor 'seen' has numbers of float64, not int64"),
    ({"b": np.zeros(2000, "float32")}, "tensor 'b' has 8128 bytes"),
    ({"more": np.zeros(1)}, "tensor 'more' is unknown"),
])  # fmt: skip
def test_arrays_that_do_not_fit(change, why):
    failed(reply(dict(BASE.items()) | change), why)


def test_a_tensor_too_few():
    failed(reply({"w": BASE["w"], "b": BASE["b"]}), "tensor 'seen' is missing")


@pytest.mark.parametrize("examples", [None, 0, -1, 0.5, float("nan"), float("inf"), 1e30])
def test_how_many_examples_is_asked_for(examples):
    failed(reply(examples=examples), "not how many examples it has")


def test_an_array_that_holds_objects_or_nothing_is_refused():
    for data in (b"", b"\x80\x04N.", b"\x93NUMPY"):
        content = reply()
        content["arrays"]["b"] = Array("float32", (2,), "numpy.ndarray", data)
        failed(content, "tensor 'b' cannot be read")


def test_a_reply_of_other_records():
    failed(RecordDict(), "a reply with 0 records of metrics")
    more = {f"m{i}": MetricRecord({flower_records.EXAMPLES: 1}) for i in range(2)}
    failed(RecordDict(more), "a reply with 2 records of metrics")
    failed(
        RecordDict({"metrics": MetricRecord({flower_records.EXAMPLES: 1})}), "0 records of arrays"
    )


def test_an_evaluation():
    content = RecordDict({"metrics": MetricRecord({flower_records.EXAMPLES: 4, "loss": 0.25})})
    got = flower_records.unpack(content, asked(action=Action.EVALUATE))
    assert got == Evaluation("edge", 3, 4, {flower_records.EXAMPLES: 4.0, "loss": 0.25})


def test_metrics_that_are_no_single_number_are_left_out():
    got = flower_records.unpack(reply(curve=[1.0, 2.0], bad=float("nan")), asked())
    assert set(got.metrics) == {flower_records.EXAMPLES}


@pytest.mark.parametrize("more", [{"vectors": {"drift": np.zeros(8)}}, {"personal": ("b*",)}])
def test_what_the_dialect_cannot_say_is_refused(more):
    with pytest.raises(
        flower_records.UnexpectedRecord, match="neither vectors of a rule nor tensors that stay"
    ):
        flower_records.pack(asked(**more))


def test_the_layout_of_a_record():
    assert (
        flower_records.parameters(flower_records.arrays(BASE)).layout.digest == BASE.layout.digest
    )


@given(st.binary(max_size=200), st.sampled_from(["w", "b", "seen"]))
def test_whatever_bytes_come_no_error_leaves(data, name):
    content = reply()
    content["arrays"][name] = Array("float32", (2,), "numpy.ndarray", data)
    assert isinstance(flower_records.unpack(content, asked()), Failure)


def test_config_records_stay_records():
    assert isinstance(flower_records.pack(asked())["config"], ConfigRecord)

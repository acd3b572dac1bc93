"""What is read is what was written, or a reason why not."""

import json

import numpy as np
import pytest
from flwr.app import ConfigRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_core.encoding import Encoded
from aeros_core.messages import Action, Evaluation, Failure, Instruction, Predictions, Update
from aeros_core.parameters import Layout, Parameters
from aeros_flower.protocol import message_content, messages

LAYOUT = Layout.of(
    {"w": ((2, 3), "float32"), "n": ((), "int64"), "b": ((3,), "float32"), "m": ((5,), "bool")}
)


def parameters(scale=1.0, layout=LAYOUT):
    made = Parameters.zeros(layout)
    for dtype, vector in made.vectors.items():
        vector[:] = (np.arange(len(vector)) * scale).astype(dtype)
    return made


def instruct(node="a", **told):
    return Instruction(3, node, told.pop("parameters", parameters()), seed=2**62 + 1, **told)


def same(one, other):
    assert one.layout == other.layout
    for dtype, vector in one.vectors.items():
        assert other.vectors[dtype].dtype == vector.dtype
        assert other.vectors[dtype].tobytes() == vector.tobytes()


def through_flower(content):
    """Take a record apart into Flower's objects and put it together again, as transport does."""
    from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects
    from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents

    objects = {key: found.deflate() for key, found in get_all_nested_objects(content).items()}
    count = len(objects)
    return inflate_object_from_contents(content.object_id, objects), count


def test_instructions_come_back_with_all_they_say():
    drift = np.arange(9, dtype="float32")
    shared = parameters(0.5)
    told = {
        "action": Action.TRAIN,
        "scalars": {"proximal_mu": 0.1},
        "deadline": 2.5,
        "personal": ("b*",),
        "delta": True,
        "parameters": shared,
    }
    sent = [instruct("a", vectors={"drift": drift}, **told), instruct("ü", **told)]
    first, second = messages.unpack_instructions(
        through_flower(messages.pack_instructions(sent))[0]
    )
    for found, was in ((first, sent[0]), (second, sent[1])):
        same(was.parameters, found.parameters)
        for name in ("round", "node", "seed", "action", "scalars", "deadline", "personal", "delta"):
            assert getattr(found, name) == getattr(was, name)
    assert first.vectors["drift"].tobytes() == drift.tobytes()
    assert second.vectors == {}
    first.parameters.vector[:] = 1  # a trainer may want writable memory


def test_a_small_message_is_three_objects_and_a_large_one_holds_one_array():
    assert through_flower(messages.pack_instructions([instruct()]))[1] == 2  # + the Message
    big = Layout.of({f"t{i}": ((1000,), "float32") for i in range(200)})
    sent = [instruct(parameters=parameters(layout=big))]
    found, objects = through_flower(messages.pack_instructions(sent))
    same(sent[0].parameters, messages.unpack_instructions(found)[0].parameters)
    assert objects == 5  # record, its config, its array record, the array, one chunk


def test_the_model_is_the_same_object_for_every_node():
    big = Layout.of({"t": ((2**20,), "float32")})
    one = messages.pack_instructions([instruct("a", parameters=parameters(layout=big))])
    other = messages.pack_instructions([instruct("b", parameters=parameters(layout=big))])
    assert one["parameters"].object_id == other["parameters"].object_id
    assert one.object_id != other.object_id


def test_replies_come_back_whatever_they_are():
    sent = [
        Update("a", 3, parameters(2.0), 7, {"loss": 0.1 + 0.2}, {"steps": 4.0}, {}, delta=True),
        Update("b", 3, parameters(3.0), 8, {"loss": float("nan")}, {}, {"v": np.arange(3.0)}),
        Evaluation("c", 3, 9, {"accuracy": 1.0}),
        Failure("d", 3, "no data"),
    ]
    a, b, c, d = messages.unpack_replies(through_flower(messages.pack_replies(sent))[0], LAYOUT)
    same(sent[0].parameters, a.parameters)
    same(sent[1].parameters, b.parameters)
    assert (a.metrics, a.scalars, a.examples, a.delta) == (sent[0].metrics, {"steps": 4.0}, 7, True)
    assert np.isnan(b.metrics["loss"])
    assert b.vectors["v"].tolist() == [0.0, 1.0, 2.0]
    assert (c, d) == (sent[2], sent[3])


class Halves:
    """A codec that sends float16."""

    def decode(self, encoded, dtype):
        return encoded.arrays["half"].astype(dtype)

    def fault(self, encoded):
        return None


def test_a_compressed_update_is_read_by_the_tasks_own_codec():
    layout = Layout.of({"w": ((4,), "float32")})
    half = np.arange(4, dtype="float16")
    encoded = Parameters(layout, Encoded({"half": half}, layout.sizes, Halves()))
    content = messages.pack_replies([Update("a", 1, encoded, 2, delta=True)])
    (found,) = messages.unpack_replies(content, layout, Halves())
    assert found.parameters.vector.tolist() == [0, 1, 2, 3]
    assert found.nbytes == 8
    (refused,) = messages.unpack_replies(content, layout, None)
    assert refused == Failure("a", 1, "a compressed update, but no codec is chosen", "encoding")


def test_an_update_of_another_layout_is_its_nodes_failure():
    other = Layout.of({"w": ((5,), "float32")})
    content = messages.pack_replies([Update("a", 1, parameters(layout=other), 2)])
    assert messages.unpack_replies(content, LAYOUT) == [
        Failure("a", 1, "another layout than the global parameters", "layout")
    ]


def test_vectors_that_do_not_fit_the_layout_they_claim_are_their_nodes_failure():
    content = messages.pack_replies([Update("a", 1, parameters(), 2)])
    head = json.loads(content["aeros"]["head"])
    head["replies"][0]["parameters"]["float32"] = 1
    content["aeros"]["head"] = json.dumps(head)
    (found,) = messages.unpack_replies(content, LAYOUT)
    assert isinstance(found, Failure)
    assert found.kind == "layout"
    assert found.reason.startswith("vectors of lengths {'float32': 1,")


def changed(path, value):
    content = messages.pack_instructions([instruct(vectors={"v": np.zeros(2, "float32")})])
    head = json.loads(content["aeros"]["head"])
    *way, last = path
    place = head
    for key in way:
        place = place[key]
    place[last] = value
    content["aeros"]["head"] = json.dumps(head)
    return content


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        (["round"], "3", "round is str, not int"),
        (["round"], True, "round is bool, not int"),
        (["action"], "explode", "action 'explode' is unknown"),
        (["digest"], "0" * 64, "the layout does not have its digest"),
        (["layout", 0], 7, "tensor is int, not list"),
        (["layout", 0], [1, 2, 3], "a tensor of [1, 2, 3]"),
        (["layout", 0, 2], "object", "dtype 'object' is no number's"),
        (["layout", 0, 1], [-2, 3], "tensor 'w' lies nowhere"),
        (["nodes", 0, "vectors", "v"], 9, "vectors 'v' is array 9 of 1"),
        (["nodes", 0, "scalars"], {"mu": "x"}, "mu is 'x', not a number"),
        (["nodes", 0], 5, "nodes is int, not dict"),
        (["blocks", "parameters", 0, 1], 10**9, "block 'parameters' holds"),
        (["blocks", "parameters", 0, 0], "O", "dtype 'O' is no number's"),
        (["blocks", "parameters", 0], ["float32", -1], "an array of ['float32', -1]"),
        (["blocks", "more"], [["float32", 1]], "block 'more' is missing"),
    ],
)
def test_a_message_that_is_not_what_it_should_be_is_refused_with_its_reason(path, value, reason):
    with pytest.raises(messages.WireError) as refused:
        messages.unpack_instructions(changed(path, value))
    assert reason in str(refused.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (RecordDict(), "no record called 'aeros'"),
        (RecordDict({"aeros": ConfigRecord({"protocol": 9})}), "protocol 9, not 1"),
        (
            RecordDict({"aeros": ConfigRecord({"protocol": 1, "kind": "x", "head": "{}"})}),
            "a message of kind 'x', not 'instructions'",
        ),
        (
            RecordDict(
                {"aeros": ConfigRecord({"protocol": 1, "kind": "instructions", "head": "[" * 9999})}
            ),
            "its head is no JSON",
        ),
    ],
)
def test_a_message_of_somebody_else_is_refused(content, reason):
    with pytest.raises(messages.WireError, match=reason.replace("[", r"\[")):
        messages.unpack_instructions(content)


def test_answers_about_data_come_back_in_their_shapes():
    outputs = {
        "row": np.array([3, 1], "int64"),
        "scores": np.arange(6, dtype="float32").reshape(2, 3),
        "none": np.empty((2, 0)),
    }
    sent = [Predictions("a", 1, 2, {"accuracy": 0.5}, outputs), Predictions("b", 1, 9, {})]
    first, second = messages.unpack_replies(through_flower(messages.pack_replies(sent))[0], None)
    assert (first.node, first.round, first.examples, first.metrics) == (
        "a",
        1,
        2,
        {"accuracy": 0.5},
    )
    for name, was in outputs.items():
        assert (first.outputs[name].dtype, first.outputs[name].shape) == (was.dtype, was.shape)
        assert first.outputs[name].tobytes() == was.tobytes()
    assert second == sent[1]


def test_answers_of_another_shape_than_they_say_are_refused():
    content = messages.pack_replies([Predictions("a", 1, 2, {}, {"scores": np.ones((2, 3))})])
    head = json.loads(content["aeros"]["head"])
    head["replies"][0]["shapes"]["scores"] = [2, 4]
    content["aeros"]["head"] = json.dumps(head)
    with pytest.raises(messages.WireError, match="has 6 elements, not those of shape"):
        messages.unpack_replies(content, None)


def test_a_note_is_plain_data():
    content = through_flower(messages.pack_note("prepare", {"config": {"a": [1, "b", None]}}))[0]
    assert message_content.kind_of(content) == "prepare"
    assert messages.unpack_note(content, "prepare")["config"] == {"a": [1, "b", None]}
    with pytest.raises(messages.WireError, match="kind 'prepare', not 'replies'"):
        messages.unpack_replies(content, LAYOUT)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)
PLACES = [["layout"], ["layout", 0, 1], ["nodes"], ["nodes", 0, "vectors"], ["blocks"], ["delta"]]


@settings(max_examples=60, deadline=None)
@given(path=st.sampled_from(PLACES), value=JSON)
def test_whatever_a_stranger_writes_is_read_or_refused(path, value):
    try:
        messages.unpack_instructions(changed(path, value))
    except messages.WireError as refused:
        told = str(refused)
    else:
        told = "read"
    assert told


def forged(replies, **changed):
    """Return replies as an executor that does not keep to the rules would send them."""
    content = messages.pack_replies(replies)
    head = json.loads(content["aeros"]["head"])
    for row in head["replies"]:
        row.update(changed)
    content["aeros"]["head"] = json.dumps(head)
    return content


@pytest.mark.parametrize(
    ("changed", "kind"),
    [
        ({"examples": 1e15}, "examples"),
        ({"examples": float("nan")}, "examples"),
        ({"examples": float("inf")}, "examples"),
        ({"examples": -1}, "examples"),
        ({"examples": 0}, "examples"),
        ({"examples": True}, "examples"),
        ({"examples": 2**53 + 1}, "examples"),
        ({"examples": 10**300}, "examples"),
        ({"examples": "7"}, "examples"),
        ({"examples": None}, "examples"),
        ({"metrics": {f"m{i}": 0.0 for i in range(200_000)}}, "figures"),
        ({"metrics": {"a\nb": 0.0}}, "figures"),
        ({"metrics": {"a" * 201: 0.0}}, "figures"),
        ({"metrics": {"examples": 1e15}}, "figures"),
        ({"metrics": {"loss": "low"}}, "figures"),
        ({"metrics": {"loss": {"loss": {}}}}, "figures"),
        ({"metrics": [1]}, "figures"),
        ({"scalars": {f"m{i}": 0.0 for i in range(2000)}}, "figures"),
    ],
)
def test_a_reply_beyond_its_bounds_is_a_failure_that_is_counted(changed, kind):
    good = Update("b", 3, parameters(), 7, {"loss": 0.5})
    for bad in (Update("a", 3, parameters(), 7), Evaluation("a", 3, 7, {})):
        (found,) = messages.unpack_replies(forged([bad], **changed), LAYOUT)
        if isinstance(bad, Evaluation) and "scalars" in changed:
            continue  # an evaluation has none
        assert isinstance(found, Failure)
        assert (found.node, found.kind) == ("a", kind)
        assert len(found.reason) < 300
    (passed,) = messages.unpack_replies(messages.pack_replies([good]), LAYOUT)
    assert isinstance(passed, Update)


def test_a_head_that_is_too_long_is_not_parsed(monkeypatch):
    monkeypatch.setattr(message_content.json, "loads", lambda _: pytest.fail("it was parsed"))
    content = messages.pack_note("prepared", {"name": "x" * (message_content.LONGEST + 1)})
    with pytest.raises(message_content.WireError, match="at most 16777216 are read"):
        messages.unpack_note(content, "prepared")


def test_a_deeply_nested_head_is_refused():
    content = messages.pack_note("prepared", {})
    content["aeros"]["head"] = "[" * 10**6
    with pytest.raises(message_content.WireError, match="no JSON"):
        messages.unpack_note(content, "prepared")


def test_what_an_executor_counts_a_failure_by_is_one_of_a_few():
    for counted, kept in (("examples", "examples"), ("norm", "failed"), ("x" * 10**5, "failed")):
        sent = Failure("a", 3, "why", counted)
        (found,) = messages.unpack_replies(messages.pack_replies([sent]), LAYOUT)
        assert found.kind == kept

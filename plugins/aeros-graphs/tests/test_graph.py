import numpy as np
import pytest
from fakes import Away, Fixed, Linear, graph, model, rows

from aeros_core.errors import ConfigError, RemoteError, RepositoryError
from aeros_core.testing import InferencerTests
from aeros_graphs import graph as graphs
from aeros_graphs.graph import deal
from aeros_graphs.sequence import SequenceInferencer


class TestContractOfSequence(InferencerTests):
    """The contract with one member."""

    def make(self):
        return graph(SequenceInferencer, {"one": Linear()}, order=["one"])

    def model(self):
        return model()

    def other(self):
        return model(1)

    def batch(self):
        return rows()


def test_each_member_takes_what_the_one_before_answered():
    first, second = Fixed(h=[1.0, 2.0]), Fixed(scores=0.5)
    made = graph(SequenceInferencer, {"then": second, "first": first}, order=["first", "then"])
    answer = made.predict(rows(3))
    assert set(second.batches[0]) == {"h"}
    np.testing.assert_array_equal(second.batches[0]["h"], [[1, 2]] * 3)
    np.testing.assert_array_equal(answer["scores"], [0.5] * 3)


def test_every_member_is_loaded():
    members = {"a": Fixed(), "b": Fixed()}
    graph(SequenceInferencer, members, order=["a", "b"]).load(model())
    assert [member.model.name for member in members.values()] == ["m", "m"]


def test_too_few_members():
    with pytest.raises(ConfigError, match="has 0 of at least 1 members") as caught:
        SequenceInferencer(members={}, order=[])
    assert caught.value.hint == "+inferencer.members.<name>=NAME:VERSION"


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf"), "much"])
def test_weights_are_above_zero(weight):
    with pytest.raises(ConfigError, match=r"inferencer.members.a.weight must be above 0, got \S+"):
        SequenceInferencer(members={"a": {"weight": weight}}, order=["a"])


@pytest.mark.parametrize(
    ("node", "said"),
    [
        ({"wieght": 2}, "inferencer.members.a.wieght is no part of a member"),
        (3, "inferencer.members.a=3 is no part of a member"),
        (None, "inferencer.members.a=None is no part of a member"),
    ],
    ids=str,
)
def test_members_that_are_none(node, said):
    with pytest.raises(ConfigError, match=said) as caught:
        SequenceInferencer(members={"a": node}, order=["a"])
    assert caught.value.exists == "model, inferencer, weight"


def test_a_member_is_a_model_or_more():
    made = SequenceInferencer(
        members={"c": {"model": "m"}, "a": "m:1", "b": {"weight": 2}}, order=["a", "b", "c"]
    )
    assert [(m["model"], m["weight"]) for m in made.members.values()] == [
        ("m:1", 1.0), (None, 2), ("m", 1.0),
    ]  # fmt: skip


def test_nothing_is_loaded():
    with pytest.raises(ConfigError, match="no model is loaded"):
        SequenceInferencer(members={"a": {}}, order=["a"]).predict(rows())


ALL = "inferencer.order=[a,b], in the order that is meant"


@pytest.mark.parametrize(
    ("order", "told", "hint"),
    [
        ([], "leaves out 'a': it names every member once", ALL),
        (["a"], "leaves out 'b': it names every member once", ALL),
        (["a", "b", "b"], "names a member twice: it names every member once", ALL),
        (["a", "c"], "names 'c', which is no member", "+inferencer.members.c=NAME:VERSION"),
    ],
    ids=str,
)
def test_an_order_names_every_member_once(order, told, hint):
    with pytest.raises(ConfigError) as caught:
        SequenceInferencer(members={"b": {}, "a": {}}, order=order)
    assert caught.value.asked == f"inferencer.order=[{','.join(order)}] {told}"
    assert (caught.value.exists, caught.value.hint) == ("a, b", hint)


def test_rows_come_back_in_order():
    batch = {"x": np.arange(6.0)}
    answer = deal(batch, np.array([1, 0, 1, 2, 0, 1]), lambda n, part: {"y": part["x"] * 10 + n})
    np.testing.assert_array_equal(answer["y"], [1, 10, 21, 32, 40, 51])


def test_fields_come_in_the_order_of_the_first_that_answers():
    answers = [
        {"scores": np.zeros(1), "label": np.ones(1)},
        {"label": np.ones(1), "scores": np.zeros(1)},
    ]
    answer = deal({"x": np.zeros(2)}, np.array([1, 0]), lambda n, part: answers[n])
    assert list(answer) == ["scores", "label"]


def test_no_rows_are_asked_of_the_usual_one():
    answer = deal({"x": np.zeros(0)}, np.zeros(0, int), lambda n, part: {"y": part["x"] + n})
    assert answer["y"].shape == (0,)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ([{"a": np.zeros(1)}, {"b": np.zeros(1)}], "members answer other fields: a and b"),
        ([{"a": np.zeros((1, 2))}, {"a": np.zeros((1, 3))}], "members answer 'a' in shapes"),
    ],
    ids=["fields", "shapes"],
)
def test_members_that_answer_otherwise(answers, said):
    with pytest.raises(ConfigError, match=said):
        deal({"x": np.zeros(2)}, np.array([0, 1]), lambda n, part: answers[n])


def test_what_a_member_says_is_told_with_its_name_and_its_options():
    inner = graph(SequenceInferencer, {"far": Away()}, order=["far"])
    outer = graph(SequenceInferencer, {"in": inner}, order=["in"])
    with pytest.raises(RemoteError, match=r"^member 'in': member 'far': http://there did not") as c:
        outer.predict(rows(1))
    far = "inferencer.members.in.inferencer.members.far.inferencer"
    assert c.value.hint == f"{far}.timeout, or +{far}.url="


def test_a_member_that_cannot_be_loaded_is_named():
    class Broken(Fixed):
        def load(self, model, module=None):
            raise RepositoryError("model 'nobody' does not exist", exists="digits")

    with pytest.raises(RepositoryError, match=r"^member 'b': model 'nobody' does not") as caught:
        graph(SequenceInferencer, {"b": Broken()}, order=["b"]).load(model())
    assert caught.value.exists == "digits"


def told(made):
    """Return the counts of a graph by metric and member."""
    return {(c.name.removeprefix("aeros_"), c.labels["member"]): c.value for c in made.counts()}


def test_what_each_member_did_is_counted(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(graphs.time, "perf_counter", lambda: now[0])

    class Slow(Fixed):
        def predict(self, batch):
            now[0] += 2.5
            return super().predict(batch)

    inner = graph(SequenceInferencer, {"far": Slow(h=[1.0])}, order=["far"])
    made = graph(SequenceInferencer, {"in": inner, "then": Away()}, order=["in", "then"])
    for count in (3, 4):
        with pytest.raises(RemoteError):
            made.predict(rows(count))
    expected = {
        "member_requests_total": (2, 2, 2), "member_errors_total": (0, 0, 2),
        "member_rows_total": (7, 7, 0), "member_seconds_total": (5.0, 5.0, 0.0),
    }  # fmt: skip
    members = ("in", "in.far", "then")
    assert told(made) == {
        (n, m): v for n, values in expected.items() for m, v in zip(members, values, strict=True)
    }

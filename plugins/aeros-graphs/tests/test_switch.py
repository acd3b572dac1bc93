from dataclasses import asdict

import numpy as np
import pytest
from fakes import Away, Fixed, Linear, graph, model, rows, serving

from aeros_core.errors import ConfigError, DataError, RemoteError
from aeros_core.testing import InferencerTests
from aeros_graphs import switch as switching
from aeros_graphs.config import Remote
from aeros_graphs.remote.inferencer import RemoteInferencer
from aeros_graphs.switch import SwitchInferencer

OPTIONS = {
    "threshold": 0.8, "onward": "request", "field": None, "cases": {}, "otherwise": None,
    "fallback": False,
}  # fmt: skip


def switch(members, **options):
    return graph(SwitchInferencer, members, order=list(members), **OPTIONS | options)


class TestContract(InferencerTests):
    """The contract where half of the rows go on."""

    def make(self):
        return switch({"small": Linear(0.5), "large": Linear(3.0)}, threshold=0.6)

    def model(self):
        return model()

    def other(self):
        return model(1)

    def batch(self):
        return rows()


def test_rows_that_one_is_unsure_of_go_on():
    small, large = Linear(0.5), Linear(3.0)
    made = switch({"small": small, "large": large}, threshold=0.6)
    made.load(model())
    batch = rows(40)
    answer = made.predict(batch)
    first, second = Linear(0.5), Linear(3.0)
    for one in (first, second):
        one.load(model())
    sure = first.predict(batch)["scores"].max(1) >= 0.6
    assert 0 < sure.sum() < 40
    assert large.asked == [40 - sure.sum()]
    for name in ("scores", "label"):
        expected = [(first if s else second).predict(batch)[name][i] for i, s in enumerate(sure)]
        np.testing.assert_allclose(answer[name], expected)


@pytest.mark.parametrize(("threshold", "asked"), [(0.0, []), (1.0, [7])])
def test_all_or_none_go_on(threshold, asked):
    large = Linear(3.0)
    made = switch({"small": Linear(), "large": large}, threshold=threshold)
    made.load(model())
    made.predict(rows())
    assert large.asked == asked


class First:
    """A first stage with an exit: answers by the sign of ``x``, and hands on its double."""

    def __init__(self, sure):
        self.sure, self.asked = sure, []

    def predict(self, batch):
        self.asked.append(len(batch["x"]))
        label = (batch["x"][:, 0] > 0).astype(np.int64)
        scores = np.repeat(np.reshape(1 - self.sure, (-1, 1)) * np.ones((len(label), 1)), 2, axis=1)
        scores[np.arange(len(label)), label] = self.sure
        return {"scores": scores, "label": label, "doubled": 2 * batch["x"]}


class Second:
    """What comes behind it: answers from the double alone, never sure of anything."""

    def __init__(self):
        self.batches = []

    def predict(self, batch):
        self.batches.append(batch)
        label = (batch["doubled"][:, 1] > 0).astype(np.int64)
        return {"scores": np.full((len(label), 2), 0.5), "label": label}


def test_what_is_not_sure_at_an_exit_goes_on_from_there():
    batch, sure = rows(40), np.where(np.arange(40) % 3, 0.9, 0.6)
    first, second = First(sure), Second()
    made = switch({"edge": first, "cloud": second}, onward="answer")
    answer = made.predict(batch)
    assert set(answer) == {"scores", "label"}
    here = batch["x"][:, 0] > 0
    there = batch["x"][:, 1] > 0
    assert answer["label"].tolist() == np.where(sure > 0.8, here, there).tolist()
    (asked,) = second.batches
    assert set(asked) == {"doubled"}  # what was computed already, not the request
    np.testing.assert_array_equal(asked["doubled"], 2 * batch["x"][sure < 0.8])
    assert first.asked == [40]


@pytest.mark.parametrize(("sure", "further"), [(0.95, 0), (0.5, 1), (1.0, 1)])
def test_the_answer_has_the_same_fields_whoever_gives_it(sure, further):
    second = Second()
    threshold = 1.0 if sure == 1 else 0.8  # a score that was rounded to 1 is not kept at 1
    made = switch({"edge": First(sure), "cloud": second}, onward="answer", threshold=threshold)
    assert set(made.predict(rows(4))) == {"scores", "label"}
    assert len(second.batches) == further


def test_a_member_without_anything_to_go_on_with_is_told():
    made = switch({"edge": Fixed(scores=[0.5, 0.5], label=0), "cloud": Second()}, onward="answer")
    with pytest.raises(ConfigError, match="'edge' answers scores and label alone") as caught:
        made.predict(rows(2))
    assert "aeros models split NAME --at LAYER --exit" in caught.value.hint


def test_three_in_a_row():
    members = {n: Fixed(scores=[s, 1 - s], label=k) for k, (n, s) in enumerate(
        {"a": 0.55, "b": 0.7, "c": 0.6}.items())}  # fmt: skip
    assert switch(members, threshold=0.65).predict(rows(2))["label"].tolist() == [1, 1]
    assert switch(members, threshold=0.9).predict(rows(2))["label"].tolist() == [2, 2]


@pytest.mark.parametrize(
    "values", [["de", "fr", "de", "it"], [b"de", b"fr", b"de", b"it"]], ids=["text", "bytes"]
)
def test_a_field_chooses(values):
    made = switch(
        {"a": Fixed(scores=1.0), "b": Fixed(scores=2.0)},
        field="country", cases={"de": "b", "fr": "a"}, otherwise="a",
    )  # fmt: skip
    batch = {"x": np.zeros((4, 3)), "country": np.array(values)}
    assert made.predict(batch)["scores"].tolist() == [2, 1, 2, 1]


def test_numbers_choose_too():
    made = switch(
        {"a": Fixed(scores=1.0), "b": Fixed(scores=2.0)}, field="kind", cases={"0": "a", "1": "b"}
    )
    assert made.predict({"kind": np.array([1, 0, 1])})["scores"].tolist() == [2, 1, 2]
    with pytest.raises(DataError, match="field 'kind' holds '7', for which there is no case"):
        made.predict({"kind": np.array([7])})
    with pytest.raises(ConfigError, match="the batch has no field 'kind', which decides"):
        made.predict({"x": np.zeros(2)})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"threshold": 1.5}, "inferencer.threshold=1.5 is not possible"),
        ({"cases": {"a": "one"}}, "inferencer.cases says what values mean, but not of which"),
        ({"field": "x"}, "inferencer.field=x chooses among no cases"),
        ({"field": "x", "cases": {"a": "nobody"}}, "names 'nobody', which is no member"),
        ({"field": "x", "otherwise": "nobody"}, "names 'nobody', which is no member"),
        (
            {"field": "x", "otherwise": "one", "fallback": True},
            "fallback=true does not go with inferencer.field=x",
        ),
    ],
    ids=["threshold", "cases", "field", "case", "otherwise", "fallback"],
)
def test_options_that_cannot_be(options, said):
    with pytest.raises(ConfigError, match=said):
        SwitchInferencer(members={"one": {}, "two": {}}, order=["two", "one"], **OPTIONS | options)


def test_an_order_names_every_member_once():
    with pytest.raises(ConfigError, match="leaves out 'two': it names every member once"):
        SwitchInferencer(members={"one": {}, "two": {}}, order=["one"], **OPTIONS)


def test_who_answers_numbers_is_never_sure():
    made = switch({"a": Fixed(scores=1.0), "b": Fixed(scores=2.0)})
    with pytest.raises(ConfigError, match="member 'a' answers without scores for classes"):
        made.predict(rows())


def remote(url):
    told = {"timeout": 5.0, "retries": 0, "failures": 100}
    made = RemoteInferencer(
        **{k: v for k, v in asdict(Remote(url=url)).items() if k[0] != "_"} | told
    )
    made.load(model())
    return made


def test_rows_that_one_is_sure_of_are_answered_while_the_server_of_the_other_is_down():
    with serving() as (_, url):
        made = switch({"edge": Fixed(scores=[0.6, 0.4], label=0), "cloud": remote(url)})
        assert made.predict(rows(2))["scores"].tolist() != [[0.6, 0.4]] * 2
        sure = switch({"edge": First(0.9), "cloud": made.taken["cloud"]})
        loose = switch(made.taken, fallback=True)
    assert sure.predict(rows(2))["scores"].max(1).tolist() == [0.9, 0.9]
    assert loose.predict(rows(2))["scores"].tolist() == [[0.6, 0.4]] * 2
    with pytest.raises(RemoteError, match=f"member 'cloud': {url} did not answer: ") as caught:
        made.predict(rows(2))
    assert "inferencer.members.cloud.inferencer.timeout and" in caught.value.hint


@pytest.mark.parametrize("onward", ["request", "answer"])
def test_who_falls_back_answers_what_it_is_not_sure_of(onward, caplog, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(switching.time, "monotonic", lambda: now[0])
    batch, sure = rows(3), np.array([0.9, 0.6, 0.7])
    cloud = Away()
    made = switch({"edge": First(sure), "cloud": cloud}, onward=onward, fallback=True)
    for _ in range(3):
        answer = made.predict(batch)
        assert answer["label"].tolist() == (batch["x"][:, 0] > 0).tolist()
        assert answer["scores"].max(1).tolist() == sure.tolist()
        assert ("doubled" in answer) == (onward == "request")
    assert cloud.asked == 3
    told = "answered by member 'edge' instead, which is not sure"
    told = f"member 'cloud': http://there did not answer: gone; {told}: 2 rows"
    assert caplog.messages == [told]  # once, not for each request
    now[0] += 61
    made.predict(batch)
    assert caplog.messages[1:] == [told.replace("2 rows", "6 rows")]
    cloud.there = Fixed(scores=[1.0, 0.0], label=7) if onward == "answer" else First(1.0)
    assert made.predict(batch)["scores"].max(1).tolist() == [0.9, 1.0, 1.0]


def test_of_three_the_last_that_answers_is_fallen_back_to():
    first, second = Fixed(scores=[0.5, 0.5], label=4), Fixed(scores=[0.6, 0.4], label=5)
    made = switch({"a": first, "b": second, "c": Away()}, fallback=True)
    assert made.predict(rows(2))["label"].tolist() == [5, 5]
    made = switch({"a": first, "b": Away(), "c": second}, fallback=True)
    assert made.predict(rows(2))["label"].tolist() == [4, 4]


def test_what_a_server_refuses_is_no_reason_to_fall_back():
    class Refuses(Away):
        def predict(self, batch):
            raise ConfigError("it is refused")

    made = switch({"a": First(0.5), "b": Refuses()}, fallback=True)
    with pytest.raises(ConfigError, match="member 'b': it is refused"):
        made.predict(rows(2))

"""A loaded version: what is seen of it before and while it is served."""

import json
import logging
from types import SimpleNamespace

import numpy as np
import pytest
from queue_client import Desk, run

from aeros_core.errors import RemoteError
from aeros_core.schema import Field, Schema
from aeros_serving import metadata
from aeros_serving.config import Mode, Where
from aeros_serving.grpc.messages import message
from aeros_serving.models import version as versions

MIXES = "'scores' of a row changes with the rows beside it"


class Centred:
    """``x - mean(x, axis=0)``, as an imported graph may compute it."""

    def predict(self, batch):
        return {"scores": batch["x"] - batch["x"].mean(axis=0)}


class Pads:
    """As many values as the row has, which may be any number."""

    def predict(self, batch):
        (x,) = batch.values()
        return {"echo": x, "sum": x.sum(axis=1)}


@pytest.fixture
def of(toys):
    """Load a toy version whose predictions an object makes."""

    def load(inferencer, schema=None):
        toys.add("other", 1, **({} if schema is None else {"schema": schema}))
        toys.repository.all["other", 1] = (toys.repository.all["other", 1][0], inferencer)
        return toys.load("other", 1)

    return load


def answers_of(served, **options):
    """Return the answers to four requests that wait together, and the queue."""

    async def work():
        desk = Desk(served, Where.inline, **options)
        for value in range(4):
            desk.ask({"x": np.full((1, 3), value, np.float32)})
        return [answer["scores"].tolist() for answer in await desk.all()], desk.lane

    return run(work())


def test_a_model_whose_rows_depend_on_each_other_gets_each_request_alone(of, caplog):
    served = of(Centred())
    assert served.dependent == MIXES
    told = f"model 'other' version 1: {MIXES}; only +serving.models.other.batching=always has"
    assert [told in record.getMessage() for record in caplog.records] == [True]
    answers, queue = answers_of(served, delay=5.0)  # nothing is waited for either
    assert answers == [[[0.0] * 3]] * 4
    assert served.statistics.executions == 4
    config = metadata.config(queue)
    assert (config["max_batch_size"], "dynamic_batching" in config) == (1, False)
    assert config["parameters"] == {"batching": {"string_value": f"auto: no, {MIXES}"}}


def test_rows_of_one_request_stay_together(of):
    async def work():
        desk = Desk(of(Centred()), Where.inline)
        desk.ask({"x": np.array([[0, 0, 0], [2, 2, 2]], np.float32)})
        return await desk.all()

    assert run(work())[0]["scores"].tolist() == [[-1.0] * 3, [1.0] * 3]


def test_batching_can_be_set_by_hand(of, served):
    mixed, queue = answers_of(of(Centred()), batching=Mode.always)
    assert mixed == [[[value - 1.5] * 3] for value in range(4)]
    assert metadata.config(queue)["max_batch_size"] == 8
    apart, queue = answers_of(served, batching=Mode.never)
    assert apart == [[[2.0 * value] * 3] for value in range(4)]
    assert served.statistics.executions == 4
    config = metadata.config(queue)
    assert config["max_batch_size"] == 1
    assert config["parameters"]["batching"]["string_value"] == "never: no"


def test_a_model_that_predicts_each_row_by_itself_is_batched(served, caplog):
    with caplog.at_level(logging.WARNING):
        answers, queue = answers_of(served)
    assert answers == [[[2.0 * value] * 3] for value in range(4)]
    assert (served.dependent, served.statistics.executions, caplog.records) == ("", 1, [])
    config = metadata.config(queue)
    assert (config["max_batch_size"], "dynamic_batching" in config) == (8, True)
    assert message("ModelConfig")(**config).parameters["batching"].string_value == "auto: yes"


def test_both_protocols_say_how_a_model_is_batched(toys, running):
    toys.repository.all["toy", 1] = (toys.repository.all["toy", 1][0], Centred())
    server = running("toy")
    config = json.loads(server.ask("GET", "/v2/models/toy/config")[2])
    assert config["max_batch_size"] == 1
    assert config["parameters"]["batching"]["string_value"].endswith(MIXES)
    assert [server.infer(data=(v, v, v))[1]["outputs"][0]["data"] for v in (1, 5)] == [
        [0.0] * 3
    ] * 2


def test_what_could_not_be_compared_is_alone_until_it_can_be(of, monkeypatch):
    away, model = [True], Centred()

    class Asks:
        def predict(self, batch):
            if away[0]:
                raise RemoteError("http://there did not answer")
            return model.predict(batch)

    served, row = of(Asks()), {"x": np.ones((1, 3), np.float32)}
    assert served.alone
    away[0] = False
    served.answer([row])
    assert (served.alone, served.dependent) == (False, MIXES)


def test_a_server_that_is_lost_while_rows_are_compared_leaves_requests_alone(of, monkeypatch):
    calls, lost = [], versions.TIMES + 3  # first, timed, compared stacked, compared alone

    class Flaps:
        def predict(self, batch):
            calls.append(len(batch["x"]))
            if len(calls) == lost:
                raise RemoteError("http://there did not answer")
            return {"scores": batch["x"]}

    served, row = of(Flaps()), {"x": np.ones((1, 3), np.float32)}
    assert "could not be compared" in served.dependent
    served.answer([row])
    assert calls[lost:] == [1]  # not with every request
    monkeypatch.setattr(versions, "AGAIN", -1.0)
    served.answer([row])
    assert served.dependent == ""


FREE = Schema((Field("x", "float32", (None,)),))


def test_metadata_of_outputs_have_no_length_where_it_follows_the_input(of):
    served = of(Pads(), FREE)
    assert [(t.name, t.shape) for t in served.outputs] == [("echo", (-1, -1)), ("sum", (-1,))]


def test_a_length_that_first_changes_in_an_answer_is_any_from_then_on(of):
    class Finds:
        """As many columns as the first row has values above one."""

        def predict(self, batch):
            return {"found": batch["x"][:, batch["x"][0] > 1]}

    served = of(Finds())
    assert served.outputs[0].shape == (-1, 0)
    served.answer([{"x": np.full((1, 3), 2, np.float32)}])
    assert served.outputs[0].shape == (-1, -1)


def test_drift_that_fails_harms_no_request(served, rows, caplog):
    class Broken:
        def add(self, batch):
            raise OverflowError(34, "Numerical result out of range")

    served.statistics.drift = (Broken(),)
    served.looked = -1.0
    served.answer([rows(1)])
    assert "drift of model 'toy' is not looked at any more" in caplog.text
    assert served.statistics.drift == ()


@pytest.mark.parametrize("value", [2e200, -1.7e308])
def test_numbers_near_the_end_of_the_range_are_answered(toys, running, value):
    toys.add("toy", 1, Schema((Field("x", "float64", (3,), (0.0, 1.0)),)), factor=1.0)
    server = running("toy")
    body = {"inputs": [{"name": "x", "datatype": "FP64", "shape": [1, 3], "data": [value] * 3}]}
    status, _, answer = server.ask("POST", "/v2/models/toy/infer", json.dumps(body))
    assert (status, json.loads(answer)["outputs"][0]["data"]) == (200, [value] * 3)
    assert server.ask("GET", "/metrics")[0] == 200


def test_a_row_takes_as_long_as_the_quickest_of_some(of, monkeypatch):
    """Other processes that load at the same time must not send a quick model to a thread."""
    clock = SimpleNamespace(now=0.0, perf_counter=lambda: clock.now)
    monkeypatch.setattr(versions, "time", clock)

    class Held:
        calls = 0

        def predict(self, batch):
            self.calls += 1
            clock.now += 0.008 if self.calls == 2 else 0.001
            return {"scores": batch["x"]}

    assert of(Held()).seconds == pytest.approx(0.001)

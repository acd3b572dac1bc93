"""Which version answers: tags that move, canaries, versions that cannot be taken up."""

import json
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from aeros_core.errors import AerosError, ConfigError, RemoteError, RepositoryError
from aeros_serving.config import Where
from aeros_serving.control import controller
from aeros_serving.models.version import LoadedVersion


def until(what, seconds=300.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def answered(server):
    """Return which version answered, by its number and by what it computed."""
    status, answer = server.infer(data=[1, 0, 0])
    assert status == 200
    return answer["model_version"], answer["outputs"][0]["data"][0]


def test_a_tag_is_followed_there_and_back(toys, running):
    toys.repository.tags["production"] = 1
    server = running("toy:production", poll=0.05)
    assert answered(server) == ("1", 2.0)
    toys.add("toy", 2, factor=5.0)
    time.sleep(0.3)
    assert answered(server) == ("1", 2.0)  # the tag has not moved
    toys.repository.tags["production"] = 2
    until(lambda: answered(server) == ("2", 5.0))
    toys.repository.tags["production"] = 1
    until(lambda: answered(server) == ("1", 2.0))
    assert server.ask("POST", "/v2/models/toy/versions/2/infer", b"{}")[0] == 404


def test_no_request_fails_while_tags_move(toys, running):
    toys.repository.tags["production"] = 1
    toys.repository.all["toy", 1][1].seconds = 0.005
    toys.add("toy", 2, factor=5.0).seconds = 0.005
    server = running("toy:production", poll=0.02)
    ended, found = threading.Event(), []

    def client():
        while not ended.is_set():
            status, answer = server.infer(data=[1, 0, 0])
            told = answer.get("model_version"), status == 200 and answer["outputs"][0]["data"][0]
            found.append(told)

    threads = [threading.Thread(target=client) for _ in range(6)]
    for thread in threads:
        thread.start()
    for version in (2, 1, 2, 1, 2):
        toys.repository.tags["production"] = version
        until(lambda wanted=str(version): found and found[-1][0] == wanted)
    ended.set()
    for thread in threads:
        thread.join(timeout=300)
    assert set(found) == {("1", 2.0), ("2", 5.0)}


def test_what_waits_for_the_old_version_is_answered_by_it(toys, running):
    toys.repository.tags["production"] = 1
    slow = toys.repository.all["toy", 1][1]
    toys.add("toy", 2, factor=5.0)
    server = running("toy:production", poll=0.05, where=Where.thread)
    slow.sizes.clear()
    slow.gate.clear()
    found = []
    asking = threading.Thread(target=lambda: found.append(answered(server)))
    asking.start()
    until(lambda: slow.sizes)
    toys.repository.tags["production"] = 2
    until(lambda: b'"versions":["2"]' in server.ask("GET", "/v2/models/toy")[2])
    assert answered(server) == ("2", 5.0)
    slow.gate.set()
    asking.join(timeout=300)
    assert found == [("1", 2.0)]


class Dying:
    """Says in which thread its memory is freed."""

    def __init__(self, told):
        self.told = told

    def __del__(self):
        self.told.append(threading.current_thread().name)


def test_versions_come_and_go_beside_requests(toys, running, monkeypatch):
    told, load = [], toys.load

    def loaded(name, version):
        told.append(threading.current_thread().name)
        served = load(name, version)
        served.statistics.errors["none"] = Dying(told)
        return served

    monkeypatch.setattr(toys, "load", loaded)
    toys.repository.tags["production"] = 1
    server = running("toy:production", poll=0.02)
    assert not told[0].startswith("background")  # nobody waits yet: the start need not give way
    toys.add("toy", 2, factor=5.0)
    toys.repository.tags["production"] = 2
    until(lambda: answered(server)[0] == "2")
    until(lambda: len(told) == 3)
    assert [name.partition("_")[0] for name in told[1:]] == ["background"] * 2


def test_a_version_that_cannot_be_taken_up_changes_nothing(toys, running, caplog):
    toys.repository.tags["production"] = 1
    server = running("toy:production", poll=0.05)
    toys.repository.all["toy", 2] = (None, None)
    toys.repository.tags["production"] = 2
    until(lambda: "stays as it is" in caplog.text)
    time.sleep(0.3)
    assert caplog.text.count("stays as it is") == 1  # told once, not at every look
    assert answered(server) == ("1", 2.0)
    status, _, index = server.ask("POST", "/v2/repository/index", b"{}")
    assert status == 200
    assert b"version 2 of model 'toy' is damaged" in index
    toys.add("toy", 3, factor=7.0)
    toys.repository.tags["production"] = 3
    until(lambda: answered(server) == ("3", 7.0))


def test_a_version_that_is_healed_is_taken_up_after_a_while(toys, running, monkeypatch):
    monkeypatch.setattr(controller, "RETRY", 0.2)
    toys.repository.tags["production"] = 1
    server = running("toy:production", poll=0.02)
    toys.repository.all["toy", 2] = (None, None)
    toys.repository.tags["production"] = 2
    until(lambda: b"is damaged" in server.ask("POST", "/v2/repository/index", b"{}")[2])
    toys.add("toy", 2, factor=5.0)
    until(lambda: answered(server) == ("2", 5.0))
    assert b"is damaged" not in server.ask("POST", "/v2/repository/index", b"{}")[2]


def test_a_canary_answers_its_share(toys, running):
    toys.add("toy", 2, factor=5.0)
    toys.repository.tags |= {"production": 1, "next": 2}
    server = running("toy:production", canary="next", canary_share=0.25, poll=0.05)
    found = [answered(server)[0] for _ in range(40)]
    assert found.count("2") == 10
    assert b'role="canary"} 2' in server.ask("GET", "/metrics")[2]
    toys.repository.tags["next"] = 1
    until(lambda: {answered(server)[0] for _ in range(8)} == {"1"})
    toys.repository.tags["next"] = 2
    until(lambda: {answered(server)[0] for _ in range(8)} == {"1", "2"})
    toys.repository.tags["production"] = 2
    until(lambda: {answered(server)[0] for _ in range(8)} == {"2"})
    assert toys.loaded.count(("toy", 2)) == 2  # the canary became what answers


def test_a_canary_that_does_not_exist_is_told_at_the_start(toys, running, caplog):
    toys.repository.tags["production"] = 1
    caplog.set_level("INFO")
    server = running("toy:production", canary="next", canary_share=0.5, poll=0.05)
    told = "serving.canary=next: no version of model 'toy' has that tag yet; tags: production"
    assert caplog.messages == [told]
    toys.add("toy", 2, factor=5.0)
    toys.repository.tags["next"] = 2
    until(lambda: {answered(server)[0] for _ in range(4)} == {"1", "2"})
    del toys.repository.tags["next"]
    until(lambda: {answered(server)[0] for _ in range(4)} == {"1"})
    assert [m for m in caplog.messages if "canary" in m] == [
        told,
        "model 'toy': version 2 answers 0.5 of the requests, as the canary 'next'",
        "model 'toy': no canary answers any more",
    ]


def test_a_model_comes_back_with_the_tag_it_was_started_with(toys, running):
    toys.add("toy", 2, factor=5.0)
    toys.repository.tags["production"] = 1
    server = running("toy:production")
    assert server.ask("POST", "/v2/repository/models/toy/unload")[0] == 200
    assert server.ask("POST", "/v2/repository/models/toy/load")[0] == 200
    assert answered(server) == ("1", 2.0)
    body = b'{"parameters": {"version": "2"}}'
    assert server.ask("POST", "/v2/repository/models/toy/load", body)[0] == 200
    assert answered(server) == ("2", 5.0)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("none", "model 'none' is not in the repository; models: toy"),
        ("toy:production", "model 'toy' has no tag 'production'; tags: none"),
    ],
)
def test_a_model_that_is_not_there_starts_nothing(running, model, told):
    with pytest.raises(ConfigError) as refused:
        running(model)
    assert refused.value.asked == told


ELSE = "mend it there, or choose another: inferencer=NAME; aeros plugins lists them"


@pytest.mark.parametrize(
    ("error", "hint"),
    [
        (AerosError("http://there did not answer", hint="is it there?"), "is it there?"),
        (RepositoryError("it is\n damaged"), "aeros models verify toy:1"),
        (ConfigError("the batch has no field 'kind'", exists="x"), ""),
        (ValueError("is\n  wrong"), ELSE),
        (ValueError(), ELSE),
        (SystemExit(3), ELSE),
    ],
)
def test_a_model_that_cannot_answer_a_row_is_told_with_what_to_do(toys, running, error, hint):
    _, inferencer = toys.repository.all["toy", 1]

    def predict(batch):
        raise error

    inferencer.predict = predict
    with pytest.raises(ConfigError) as caught:
        running("toy")
    why = getattr(error, "asked", f"{type(error).__name__}: {error}".rstrip(": "))
    told = f"model 'toy' version 1 cannot answer a row: {' '.join(why.split())}"
    assert caught.value.asked == told
    assert caught.value.hint == hint
    assert caught.value.exists == getattr(error, "exists", "")


def test_a_model_that_answers_once_and_not_again_is_told_so(toys, running):
    _, inferencer = toys.repository.all["toy", 1]
    answer, asked = inferencer.predict, []

    def predict(batch):
        asked.append(len(batch["x"]))
        if len(asked) == 2:
            raise ValueError("the second\ntime")
        return answer(batch)

    inferencer.predict = predict
    with pytest.raises(ConfigError) as caught:
        running("toy")
    told = "model 'toy' version 1 cannot answer a row: ValueError: the second time"
    assert caught.value.asked == told


@pytest.mark.parametrize("when", [1, 2])
def test_ctrl_c_ends_the_start(when):
    asked = []

    def predict(batch):
        asked.append(batch)
        if len(asked) == when:
            raise KeyboardInterrupt
        return batch

    service = SimpleNamespace(predict=predict)
    made = {name: lambda rows, _: {"x": np.zeros(rows)} for name in ("sample", "ones")}
    contract = SimpleNamespace(free=False, **made)
    with pytest.raises(KeyboardInterrupt):
        LoadedVersion("toy", 1, service, contract).warm()


def test_a_model_is_taken_up_while_what_it_asks_is_away(toys, running, caplog):
    _, inferencer = toys.repository.all["toy", 1]
    answer, asked = inferencer.predict, []

    def away(batch):
        asked.append(len(batch["x"]))
        if (batch["x"] < 1).any():
            raise RemoteError("member 'cloud': http://there did not answer", hint="is it there?")
        return answer(batch)

    inferencer.predict = away
    server = running("toy")
    assert asked == [1]  # nobody waits for it once more
    told = "it is taken up, and asks again with the first request"
    warned = [r for r in caplog.records if r.levelname == "WARNING"]
    said = f"model 'toy' version 1: member 'cloud': http://there did not answer; {told}"
    assert [r.getMessage() for r in warned] == [said]
    status, _, about = server.ask("GET", "/v2/models/toy")
    assert (status, json.loads(about)["outputs"]) == (200, [])
    status, said = server.infer(data=(0, 0, 0))
    assert (status, said["error"]) == (503, "member 'cloud': http://there did not answer")
    assert server.infer(data=(1, 2, 3))[0] == 200
    outputs = json.loads(server.ask("GET", "/v2/models/toy")[2])["outputs"]
    assert [(each["name"], each["shape"]) for each in outputs] == [
        ("scores", [-1, 3]),
        ("label", [-1]),
    ]


@pytest.mark.parametrize("apart", [False, True])
def test_whether_requests_meet_is_seen_in_the_first_answer(toys, apart):
    _, inferencer = toys.repository.all["toy", 1]
    answer = inferencer.predict

    def away(batch):
        raise RemoteError("http://there did not answer")

    inferencer.predict = away
    served = toys.load("toy", 1)
    assert served.alone  # until that is known
    inferencer.predict = lambda batch: {n: c[apart:] for n, c in answer(batch).items()}
    (given,), _ = served.answer([{"x": np.ones((3, 3), np.float32)}])
    assert len(given["label"]) == 3 - apart
    assert served.alone == apart

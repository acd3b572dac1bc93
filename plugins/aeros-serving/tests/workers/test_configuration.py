"""A configuration passes to workers as JSON, whole."""

import json

from aeros_serving.config import Mode, NonFinite, Serving, Where
from aeros_serving.workers.configuration import Configuration
from aeros_serving.workers.worker_process import environment


def test_a_configuration_passes_as_json_without_loss():
    options = Serving(
        workers=3, where=Where.thread, batching=Mode.never, non_finite=NonFinite.refuse,
        preferred=[4, 8], models={"toy": {"delay": 0.5}},
    )  # fmt: skip
    sent = Configuration({"_target_": "here", "path": "x"}, {"_target_": "there"}, options)
    assert Configuration.from_json(json.loads(json.dumps(sent.to_json()))) == sent


def test_an_inferencer_that_is_not_chosen_stays_so():
    sent = Configuration({"_target_": "here"}, None, Serving())
    assert Configuration.from_json(sent.to_json()) == sent


def test_numeric_libraries_take_their_share_of_the_processors(monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "7")
    found = environment(3)
    assert (found["OMP_NUM_THREADS"], found["MKL_NUM_THREADS"]) == ("2", "7")
    assert environment(64)["OMP_NUM_THREADS"] == "1"

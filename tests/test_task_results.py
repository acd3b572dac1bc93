import json
import pickle

import pytest

from aeros_core.results import Result, Round, Status

ROUND = Round(
    number=2,
    metrics={"accuracy": 0.9, "loss": 0.3},
    federated={"loss": 0.4},
    training={"loss": 0.5},
    nodes={"client-0": {"examples": 10, "loss": 0.5}},
    refused={"client-1": "NaN or infinity"},
    seconds={"train": 1.0, "evaluate": 0.5, "total": 1.5},
    sent=80,
    received=40,
    dropped={"client-1": {"not finite": 1}, "client-0": {"duplicate": 2}},
)
RESULT = Result(
    task="digits",
    status=Status.FINISHED,
    rounds=2,
    metrics={"accuracy": 0.9},
    model={"name": "digits", "version": 1, "digest": "ab"},
    seconds=3.5,
    sent=160,
    received=80,
    versions={"python": "3.11.7", "aeros-core": "0.1.0"},
    dropped={"duplicate": 2, "not finite": 1},
)


def test_a_round_comes_back_from_json():
    assert Round.from_json(json.loads(json.dumps(ROUND.to_json()))) == ROUND


def test_a_result_comes_back_from_json():
    assert Result.from_json(json.loads(json.dumps(RESULT.to_json()))) == RESULT


def test_the_keys_of_a_result_are_public():
    assert RESULT.to_json() == {
        "task": "digits",
        "status": "FINISHED",
        "rounds": 2,
        "metrics": {"accuracy": 0.9},
        "model": {"name": "digits", "version": 1, "digest": "ab"},
        "seconds": 3.5,
        "bytes": {"sent": 160, "received": 80},
        "versions": {"python": "3.11.7", "aeros-core": "0.1.0"},
        "dropped": {"duplicate": 2, "not finite": 1},
    }


def test_the_keys_of_a_round_are_public():
    assert list(ROUND.to_json()) == [
        "round",
        "metrics",
        "federated",
        "training",
        "nodes",
        "refused",
        "dropped",
        "seconds",
        "bytes",
    ]


def test_central_metrics_decide_where_there_are_any():
    assert ROUND.watched == {"accuracy": 0.9, "loss": 0.3}
    only = Round.from_json(ROUND.to_json() | {"metrics": {}})
    assert only.watched == {"loss": 0.4}


@pytest.mark.parametrize("record", [ROUND, RESULT])
def test_records_are_picklable(record):
    assert pickle.loads(pickle.dumps(record)) == record

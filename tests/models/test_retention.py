import math
from dataclasses import replace

import pytest

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.models.retention import Rules, doomed, unfinished
from aeros_core.records import ModelInfo


def info(version, accuracy=0.5, tags=(), run="r", name="m"):
    metrics = {} if accuracy is None else {"accuracy": accuracy, "test_loss": 1 - accuracy}
    return ModelInfo(name, version, "", run, 1, metrics, "", 0, tags)


def versions(*accuracies):
    return [info(n + 1, a) for n, a in enumerate(accuracies)]


@pytest.mark.parametrize(
    ("rules", "gone"),
    [
        (Rules(last=1), [1, 2, 3, 4]),
        (Rules(last=3), [1, 2]),
        (Rules(last=9), []),
        (Rules(best=1), [1, 3, 4]),
        (Rules(best=2), [1, 3]),
        (Rules(best=2, metric="test_loss"), [1, 3]),
        (Rules(last=2, best=1), [1, 3]),
        (Rules(best=9), [3]),
    ],
    ids=str,
)
def test_what_the_rules_do_not_keep(rules, gone):
    """Version 2 is the best, then 4; 3 was not measured; 5 is the newest."""
    infos = versions(0.3, 0.9, math.nan, 0.8, 0.1)
    assert doomed(infos, rules, ()) == ({"m": gone} if gone else {})


def test_of_equally_good_ones_the_newer_is_kept():
    assert doomed(versions(0.5, 0.5, 0.5, 0.1), Rules(best=1), ()) == {"m": [1, 2]}


def test_what_is_tagged_or_of_a_run_that_goes_on_is_kept():
    infos = [info(1, tags=("production",)), info(2, run="open"), info(3), info(4)]
    assert doomed(infos, Rules(last=1), {"open"}) == {"m": [3]}


def test_each_model_is_looked_at_by_itself():
    infos = [*versions(0.1, 0.2), info(1, name="a"), info(2, name="a")]
    assert doomed(infos, Rules(last=1), ()) == {"a": [1], "m": [1]}


@pytest.mark.parametrize("numbers", [(0, 0), (-1, 2), (2, -1)])
def test_numbers_that_cannot_be(numbers):
    with pytest.raises(ConfigError, match=r"is not possible\n  exists: numbers from 0"):
        Rules(*numbers)


def test_a_metric_that_nobody_measured_removes_nothing():
    with pytest.raises(ConfigError, match=r"measures f1\n  exists: accuracy, test_loss"):
        doomed(versions(0.1, 0.2), Rules(best=1, metric="f1"), ())


def test_a_model_that_does_not_measure_what_others_do_loses_none():
    infos = [
        *versions(0.1, 0.2, 0.15),
        info(1, name="a", accuracy=math.nan),
        info(2, name="a", accuracy=math.nan),
    ]
    assert doomed(infos, Rules(last=1, best=1), ()) == {"m": [1, 3][:1]}


def test_runs_that_have_not_finished():
    ends = {"a": {"status": "FINISHED"}, "b": {"status": "INTERRUPTED"}, "c": None}
    infos = [info(n, run=run) for n, run in enumerate(["a", "b", "c", "b", ""])]
    assert unfinished(infos, ends.get) == {"b", "c"}


def test_runs_of_which_nobody_knows_whether_they_have_finished():
    def damaged(run):
        raise RepositoryError(f"run '{run}' cannot be read")

    assert unfinished([info(1, run="a"), info(2, run="a")], damaged) == {"a"}


def test_when_a_version_was_stored_does_not_count():
    """Its clock may have been wrong; its number is not."""
    infos = [replace(i, created=f"20{40 - i.version}-01-01") for i in versions(0.1, 0.2, 0.3)]
    assert doomed(infos, Rules(last=1), ()) == {"m": [1, 2]}


def test_what_is_no_number_was_not_measured():
    infos = [replace(i, metrics={"accuracy": "high"}) for i in versions(0.1, 0.2)]
    assert doomed([*infos, info(3, 0.3), info(4, 0.2)], Rules(best=1), ()) == {"m": [1, 2]}

import pytest

from aeros_core.errors import ConfigError
from aeros_core.records import Run
from aeros_core.results import Result, Status
from aeros_serving.promotion import Promotion

RUN = Run("r", "digits", "", {"repository": {"path": "here"}}, {}, "")


class Tagged:
    """A repository that remembers which tags were moved."""

    def __init__(self):
        self.moved = []

    def tag(self, name, tag, version="latest"):
        self.moved.append((name, tag, version))


def result(status=Status.FINISHED, **metrics):
    model = {"name": "digits", "version": 3, "digest": "d"} if status is Status.FINISHED else {}
    return Result("digits", status, 1, metrics, model, 0.0, 0, 0, {})


def after(told, **options):
    """Return the tags that a task moves."""
    repository, opened = Tagged(), []
    made = Promotion(
        **{"tag": "production", "metric": "", "least": None, "most": None} | options,
        open_=lambda node: opened.append(node) or repository,
    )
    made.aeros_before_task(RUN)
    made.aeros_after_task(told)
    assert opened == [{"path": "here"}]
    return repository.moved


def test_a_task_that_ends_well_moves_the_tag():
    assert after(result()) == [("digits", "production", 3)]
    assert after(result(), tag="edge") == [("digits", "edge", 3)]


@pytest.mark.parametrize("status", [Status.FAILED, Status.CANCELLED, Status.INTERRUPTED])
def test_another_end_moves_nothing(status):
    assert after(result(status)) == []


@pytest.mark.parametrize(
    ("options", "moved", "told"),
    [
        ({"metric": "accuracy", "least": 0.9}, 1, ""),
        ({"metric": "accuracy", "least": 0.91}, 0, "accuracy 0.9000 is not from 0.91 to inf"),
        ({"metric": "loss", "most": 0.4}, 0, "loss 0.5000 is not from -inf to 0.4"),
        ({"metric": "loss", "least": 0.1, "most": 0.5}, 1, ""),
        ({"metric": "f1", "least": 0.1}, 0, "f1 was not measured, but accuracy, loss"),
    ],
)
def test_a_metric_decides(caplog, options, moved, told):
    assert len(after(result(accuracy=0.9, loss=0.5), **options)) == moved
    assert told in caplog.text
    assert bool(caplog.text) != bool(moved)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"tag": "latest"}, "callback.promote.tag=latest cannot be moved"),
        ({"tag": "3"}, "callback.promote.tag=3 cannot be moved"),
        ({"tag": ""}, "callback.promote.tag= cannot be moved"),
        ({"least": 0.5}, "metric goes with"),
        ({"metric": "loss"}, "metric goes with"),
    ],
)
def test_options_that_cannot_be(options, told):
    with pytest.raises(ConfigError, match=told):
        after(result(), **options)


def test_a_repository_without_tags_is_told_before_anything_runs():
    made = Promotion(tag="a", metric="", least=None, most=None, open_=lambda node: object())
    with pytest.raises(ConfigError, match="this repository has none"):
        made.aeros_before_task(RUN)

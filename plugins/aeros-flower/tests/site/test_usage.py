"""What was worked for a controller lately, counted from the log."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from aeros_flower.site.usage import Usage

NOW = datetime.now(UTC)


@pytest.fixture
def logged(tmp_path):
    """A function that counts from a log of these lines, ``(seconds ago, event, facts)``."""

    def counted(*lines, hours=24.0):
        rows = [
            {"time": (NOW - timedelta(seconds=ago)).isoformat(), "event": event,
             "executor": "edge", "address": "here", **facts}
            for ago, event, facts in lines
        ]  # fmt: skip
        text = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "log").write_text(text + '{"torn": ')
        return Usage.of_log(tmp_path / "log", hours, "edge", "here")

    return counted


def test_rounds_and_seconds_are_counted_by_executor_and_address(logged):
    work = {"action": "train", "rounds": 1.0}
    found = logged(
        (50, "begun", work), (40, "done", {"seconds": 9.0}),
        (39, "begun", work | {"address": "there"}),
        (38, "done", {"seconds": 7.0, "address": "there"}),
        (37, "begun", work | {"executor": "other"}),
        (36, "begun", {"action": "evaluate", "rounds": 0.5}), (35, "done", {"seconds": 1.0}),
    )  # fmt: skip
    assert found.rounds("train") == 1
    assert found.rounds("evaluate") == 0.5
    assert found.seconds == pytest.approx(10.0)


def test_what_is_older_is_forgotten(logged):
    work = {"action": "train", "rounds": 1.0}
    found = logged(
        (7300, "begun", work), (7200.5, "done", {"seconds": 99.0}),
        (60, "begun", work), (50, "done", {"seconds": 9.0}), hours=2,
    )  # fmt: skip
    assert (found.rounds("train"), found.seconds) == (1, 9.0)


def test_work_that_a_kill_ended_counts_until_the_executor_is_back(logged):
    work = {"action": "train", "rounds": 1.0}
    found = logged((100, "begun", work), (70, "started", {"address": ""}), (60, "begun", work))
    assert found.rounds("train") == 2
    assert found.seconds == pytest.approx(30.0)

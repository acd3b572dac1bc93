import io
import re
import sys

import pytest

from aeros_core.controllers.local import LocalController
from aeros_core.errors import TaskError
from aeros_core.reporting import progress
from aeros_core.reporting.progress import Lines, Live, conclusion, shown
from aeros_core.results import Result, Round, Status
from aeros_core.tasks.task import Task


class Terminal(io.StringIO):
    def isatty(self):
        return True


def a_round(number=1, **changed):
    empty = {"metrics": {}, "federated": {}, "training": {}, "nodes": {}, "refused": {}}
    return Round(number=number, seconds={}, sent=0, received=0, **empty | changed)


def test_a_terminal_gets_a_bar_and_a_pipe_gets_lines(monkeypatch):
    assert isinstance(progress.progress(io.StringIO()), Lines)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert isinstance(progress.progress(), Live)


def test_a_pipe_gets_a_line_a_round(parts, listening):
    out = io.StringIO()
    made = parts(events=listening(Lines(out)), fail=["client-1", "client-2"], poison=["client-3"])
    LocalController().run(Task(name="toy", rounds=2), made)
    lines = out.getvalue().splitlines()
    assert re.fullmatch(r"task toy, run toy-\S+", lines[0])
    assert re.fullmatch(
        r"round 1/2  loss \d\.\d{4}  accuracy \d\.\d{4}  \d+ updates/s  eta 0:00:\d\d", lines[1]
    )
    assert lines[2] == "  refused 2 (RuntimeError: the sensor is unplugged): client-1, client-2"
    assert lines[3] == "  refused 1 (NaN or infinity): client-3"
    assert lines[4].startswith("round 2/2  ")
    assert re.fullmatch(
        r"toy: FINISHED after 2 rounds, \d+\.\d s; accuracy \d\.\d{4}, loss \d\.\d{4}", lines[7]
    )
    assert lines[8] == "model toy version 1 is stored"
    assert len(lines) == 9


def test_a_resumed_task_tells_where_it_goes_on(parts, listening):
    made = parts()
    LocalController().run(Task(name="toy", rounds=2), made)
    out = io.StringIO()
    again = parts(events=listening(Lines(out)), repository=made.repository)
    LocalController().run(Task(name="toy", rounds=3, resume=True), again)
    assert out.getvalue().splitlines()[0].endswith(", goes on after round 2")
    assert "round 3/3  " in out.getvalue()


@pytest.fixture
def terminal(monkeypatch):
    """A function that makes standard output a terminal, and returns what reads it."""

    def begin():
        out = Terminal()
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "140")
        for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
            monkeypatch.delenv(name, raising=False)
        return lambda: re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", out.getvalue())

    return begin


def test_a_terminal_gets_a_bar_with_the_latest_figures(parts, listening, terminal):
    text = terminal()
    made = parts(events=listening(Live()), fail=["client-1"])
    LocalController().run(Task(name="toy", rounds=3), made)
    last = [line for line in text().splitlines() if "3/3" in line][-1]
    assert re.search(r"toy .+ 3/3 loss \d\.\d{4}  accuracy \d\.\d{4} \d+ updates/s", last)
    assert last.rstrip().endswith("eta 0:00:00")
    assert "round 2: refused 1 (RuntimeError: the sensor is unplugged): client-1" in text()
    assert "toy: FINISHED after 3 rounds" in text()
    assert "model toy version 1 is stored" in text()


def test_the_bar_is_put_away_when_the_task_fails(parts, listening, terminal):
    text = terminal()
    live = Live()
    made = parts(events=listening(live), fail=[f"client-{i}" for i in range(6)])
    with pytest.raises(TaskError, match="round 1 has 0 good updates"):
        LocalController().run(Task(name="toy", rounds=3), made)
    assert not live._bar.live.is_started
    assert "toy: FAILED after 0 rounds" in text()


def test_a_finished_task_that_is_resumed_shows_a_full_bar(parts, listening, terminal):
    made = parts()
    LocalController().run(Task(name="toy", rounds=2), made)
    text = terminal()
    again = parts(events=listening(Live()), repository=made.repository)
    LocalController().run(Task(name="toy", rounds=2, resume=True), again)
    assert "2/2" in text()


def test_loss_is_shown_first_and_training_where_nothing_was_measured():
    assert list(shown(a_round(metrics={"auc": 1.0, "loss": 0.5, "accuracy": 0.9}))) == [
        "loss", "accuracy", "auc",
    ]  # fmt: skip
    assert shown(a_round(federated={"loss": 0.4}, training={"loss": 0.5})) == {"loss": 0.4}
    assert shown(a_round(training={"loss": 0.5})) == {"loss": 0.5}


def test_pace_is_that_of_this_sitting(monkeypatch):
    clock = iter([100.0, 102.0, 104.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    pace = progress._Pace(rounds=10, done=4)
    ten = {f"client-{i}": {} for i in range(10)}
    assert pace.add(a_round(5, nodes=ten)) == (5.0, 10.0)
    assert pace.add(a_round(6, nodes=ten)) == (5.0, 8.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00"), (59.6, "0:01:00"), (3725, "1:02:05"), (-3, "0:00:00")]
)
def test_time_left_reads_as_a_clock(seconds, text):
    assert progress._clock(seconds) == text


def test_a_task_without_a_model_ends_without_one():
    result = Result("toy", Status.CANCELLED, 2, {}, {}, 1.25, 0, 0, {})
    assert conclusion(Task(), result) == "toy: CANCELLED after 2 rounds, 1.2 s"


def test_the_task_goes_on_when_nobody_listens_any_more(parts, listening):
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    made = parts(events=listening(Lines(Closed())))
    result = LocalController().run(Task(name="toy", rounds=2), made)
    assert result.status is Status.FINISHED

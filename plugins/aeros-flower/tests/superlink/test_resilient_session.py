"""A line that outlives the SuperLink behind it."""

import pytest

from aeros_core.errors import TaskError
from aeros_flower.superlink import resilient_session
from aeros_flower.superlink.embedded import PulledMessages
from aeros_flower.superlink.resilient_session import ResilientSession, SessionLost


class Session:
    """Answers as it was told, or is gone."""

    def __init__(self, *there):
        self.there, self.gone, self.ended = set(there), False, ""
        self.pushed = []

    def _check(self):
        if self.gone:
            raise SessionLost("the line broke")

    def nodes(self):
        self._check()
        return self.there

    def push(self, node, content, seconds, kind):
        self._check()
        self.pushed.append((node, content, seconds, kind))
        return f"m{len(self.pushed)}"

    def pull(self, messages, most):
        self._check()
        return [PulledMessages(message) for message in sorted(messages)][:most]

    def recall(self, messages):
        self._check()
        return sorted(messages)[:1]

    def wait(self, seconds):
        self._check()
        self.waited = seconds
        return True

    def abandon(self):
        self.ended = "abandoned"

    def close(self):
        self.ended = "closed"


@pytest.fixture
def clock(monkeypatch):
    """Time that passes when somebody waits."""

    class Clock:
        now = 100.0

        def monotonic(self):
            return self.now

        def sleep(self, seconds):
            self.now += seconds

    made = Clock()
    monkeypatch.setattr(resilient_session, "time", made)
    return made


def a_line(*sessions, wait=60.0, **more):
    """Return a line over these sessions in turn (None: nobody answers), and its words."""
    left, said, befores = list(sessions), [], []

    def begin(before):
        befores.append(before)
        return left.pop(0) if left else None

    return ResilientSession("here:1", begin, wait, said.append, **more), said, befores


def test_what_is_asked_reaches_the_session(clock):
    session = Session(1, 2)
    line, said, _ = a_line(session)
    assert line.nodes() == {1, 2}
    assert line.push(1, "content") == "m1"
    assert session.pushed == [(1, "content", None, "train.aeros")]
    assert [a.message for a in line.pull({"a", "b"}, 1)] == ["a"]
    line.close()
    assert session.ended == "closed"
    assert said == []


def test_it_waits_for_a_superlink_that_comes_later(clock):
    _, said, _ = a_line(None, None, Session())
    assert said == ["waits for the SuperLink at here:1 (nobody answers)"]


def test_one_that_never_comes_is_an_error_that_says_what_to_type(clock):
    began = clock.now
    with pytest.raises(TaskError, match="could not be reached for 5 s") as refused:
        a_line(wait=5.0)
    assert 5 < clock.now - began < 6
    assert refused.value.hint.startswith("start it; controller.wait=SECONDS")


@pytest.mark.parametrize("how", ["nodes", "push", "pull"])
def test_once_it_is_lost_nobody_is_there_and_then_those_of_the_next_are(clock, how):
    first, second = Session(1, 2), Session(1, 2)
    line, said, befores = a_line(first, None, second)
    assert line.nodes() == {1, 2}
    first.gone, clock.now = True, clock.now + 1
    ask = {"nodes": line.nodes, "push": lambda: line.push(1, "x"), "pull": lambda: line.pull({"m"})}
    assert not ask[how]()
    assert first.ended == "abandoned"
    assert line.nodes() == set()  # said once, although the same are there again at once
    while not (found := line.nodes()):
        line.wait(1.0)
    assert found == {1, 2}
    assert said == [
        "the SuperLink at here:1 is lost (the line broke)", "the SuperLink at here:1 is back"
    ]  # fmt: skip
    assert befores == [None, first, first]
    line.close()
    assert (first.ended, second.ended) == ("abandoned", "closed")


def for_ever(line):
    while True:
        line.nodes()
        line.wait(0.2)


def test_one_that_stays_away_ends_the_task(clock):
    session = Session(1)
    line, _, _ = a_line(session, wait=3.0)
    session.gone = True
    assert line.nodes() == set()
    began = clock.now
    with pytest.raises(TaskError, match="the line broke") as refused:
        for_ever(line)
    assert "task.resume=true" in refused.value.hint
    assert 3 < clock.now - began < 4


def test_a_session_that_cannot_begin_says_why(clock):
    def begin(before):
        raise SessionLost("the port is another's")

    with pytest.raises(TaskError, match="the port is another's"):
        ResilientSession("here:1", begin, 1.0, lambda text: None)


def test_who_is_there_is_asked_twice_a_second_at_most(clock):
    session = Session(1)
    line, _, _ = a_line(session)
    assert line.nodes() == {1}
    session.there = {1, 2}
    assert line.nodes() == {1}
    clock.now += 0.6
    assert line.nodes() == {1, 2}


def test_what_holds_the_line_is_let_go_of_with_it(clock):
    ended = []
    line, _, _ = a_line(Session(), after=lambda: ended.append(True))
    line.close()
    assert ended == [True]


def test_what_the_session_can_it_does(clock):
    session, began = Session(1), clock.now
    line, _, _ = a_line(session)
    assert line.recall(["b", "a"]) == ["a"]
    line.wait(3.0)
    assert (session.waited, clock.now) == (3.0, began)  # it is the session that waits
    session.gone = True
    assert line.recall(["a"]) == []
    line.wait(3.0)
    assert began < clock.now < began + 1  # a moment: who is there has to be asked

"""Who hears a pause and a cancellation while something is waited for, and what is said then."""

import threading
from types import SimpleNamespace

import pytest

from aeros_core.tasks import waiting
from aeros_core.tasks.control import Cancelled, Control


def test_within_a_wait_is_asked_whoever_is_to_be_asked():
    control = Control()
    waiting.check()  # nobody
    with waiting.hearing(control.check):
        waiting.check()
        control.cancel()
        with pytest.raises(Cancelled):
            waiting.check()
        with waiting.hearing(lambda: None):
            waiting.check()
        with pytest.raises(Cancelled):
            waiting.check()
    waiting.check()


def test_other_threads_are_none_of_its_business():
    seen = []
    with waiting.hearing(lambda: seen.append(threading.get_ident())):
        other = threading.Thread(target=waiting.check)
        other.start()
        other.join(300)
        waiting.check()
    assert seen == [threading.get_ident()]


def test_a_reason_is_said_each_minute(monkeypatch):
    clock = SimpleNamespace(now=0.0, monotonic=lambda: clock.now)
    monkeypatch.setattr(waiting, "time", clock)
    said = []
    reminder = waiting.Reminder(said.append)
    for _ in range(200):
        clock.now += 1.0
        reminder.say(f"at {clock.now:g}")
    assert said == ["at 60", "at 120", "at 180"]
    reminder.restart()
    clock.now += 59
    reminder.say("not yet")
    assert said[3:] == []


def test_a_reason_may_be_said_at_once(monkeypatch):
    said = []
    reminder = waiting.Reminder(said.append, first=0.0)
    reminder.say("one")
    reminder.say("two")
    assert said == ["one"]


def test_a_call_that_blocks_is_left_alone_where_the_wait_is_ended():
    control, over = Control(), threading.Event()
    asked = []

    def check():
        asked.append(1)
        if len(asked) > 1:
            control.cancel()
        control.check()

    try:
        with waiting.hearing(check), pytest.raises(Cancelled):
            waiting.apart(lambda: over.wait(600))
    finally:
        over.set()


def test_a_call_apart_returns_and_raises_what_it_does():
    with waiting.hearing(lambda: None):
        assert waiting.apart(lambda: 5) == 5
        with pytest.raises(ZeroDivisionError):
            waiting.apart(lambda: 1 / 0)
    here = waiting.apart(threading.get_ident)  # nobody listens: no thread is needed
    assert here == threading.get_ident()

"""Nodes become known to a stock SuperLink, and again to the next."""

import subprocess
from pathlib import Path

import pytest

from aeros_flower import enrolment
from aeros_flower.enrolment import Enrolment


@pytest.fixture
def registered(monkeypatch):
    """What Flower's command was told, and the keys that it was given."""
    told = []

    class Done:
        def wait(self, seconds):
            return 0

    def leashed(words, environment, log):
        told.append((words[-1], Path(words[3]).read_bytes(), environment["FLWR_HOME"]))
        assert words[:3] == ("flwr", "supernode", "register")
        return Done()

    monkeypatch.setattr(enrolment, "leashed", leashed)
    return told


def test_a_node_is_registered_once_there_is_a_superlink_and_with_the_next(registered):
    made = Enrolment()
    made.enrol(b"one", "edge-1")
    assert registered == []
    made.begin({"FLWR_HOME": "first"})
    made.enrol(b"two", "edge-2")
    assert registered == [("edge-1", b"one", "first"), ("edge-2", b"two", "first")]
    made.begin({"FLWR_HOME": "second"})
    assert [home for *_, home in registered[2:]] == ["second", "second"]


def test_a_command_that_hangs_is_ended(monkeypatch):
    ended = []

    class Hanging:
        def wait(self, seconds=None):
            if seconds is not None:
                raise subprocess.TimeoutExpired("flwr", seconds)

        def kill(self):
            ended.append(True)

    monkeypatch.setattr(enrolment, "leashed", lambda *_: Hanging())
    made = Enrolment()
    made.begin({})
    made.enrol(b"key", "edge")
    assert ended == [True]

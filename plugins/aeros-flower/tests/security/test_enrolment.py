"""Nodes become known to a stock SuperLink, and again to the next."""

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from aeros_flower.security import enrolment, keys
from aeros_flower.security.enrolment import Enrolment


@pytest.fixture
def registered(monkeypatch):
    """What Flower's command was told, and the keys that it was given."""
    told = []

    class Done:
        def wait(self, seconds):
            return 0

    def leashed(words, environment, log):
        key = serialization.load_ssh_public_key(Path(words[3]).read_bytes())
        told.append((words[-1], keys.public_bytes(key), environment["FLWR_HOME"]))
        assert words[:3] == ("flwr", "supernode", "register")
        return Done()

    monkeypatch.setattr(enrolment, "start_child", leashed)
    return told


def a_key():
    return keys.public_bytes(ec.generate_private_key(ec.SECP384R1()).public_key())


def test_a_node_is_registered_once_there_is_a_superlink_and_with_the_next(registered):
    made, one, two = Enrolment(), a_key(), a_key()
    made.enrol(one, "edge-1")
    assert registered == []
    made.begin({"FLWR_HOME": "first"})
    made.enrol(two, "edge-2")
    assert registered == [("edge-1", one, "first"), ("edge-2", two, "first")]
    made.begin({"FLWR_HOME": "second"})
    assert [home for *_, home in registered[2:]] == ["second", "second"]


def test_a_command_that_fails_is_told_of(monkeypatch, capsys):
    class Failed:
        def wait(self, seconds):
            return 1

    def leashed(words, environment, log):
        log.write("no such SuperLink")
        return Failed()

    monkeypatch.setattr(enrolment, "start_child", leashed)
    made = Enrolment()
    made.begin({})
    made.enrol(a_key(), "edge")
    assert "node edge could not be registered: no such SuperLink" in capsys.readouterr().err


def test_a_command_that_hangs_is_ended(monkeypatch):
    ended = []

    class Hanging:
        def wait(self, seconds=None):
            if seconds is not None:
                raise subprocess.TimeoutExpired("flwr", seconds)

        def kill(self):
            ended.append(True)

    monkeypatch.setattr(enrolment, "start_child", lambda *_: Hanging())
    made = Enrolment()
    made.begin({})
    made.enrol(a_key(), "edge")
    assert ended == [True]

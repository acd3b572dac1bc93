"""A run's line to the controller that stands by: who is let in, and what happens without it."""

import contextlib
import socket
import threading
import time

import pytest

from aeros_core.errors import ConfigError, TaskError
from aeros_flower.superlink.resilient_session import SessionLost
from aeros_flower.superlink.standby import client, server
from aeros_flower.superlink.standby.client import standby_session as attach


class Own:
    """A SuperLink, where it stands by or within a run."""

    def __init__(self, *there):
        self.there, self.renewed, self.closed = set(there), [], False

    def renew(self, fab=None):
        self.renewed.append(fab)

    def nodes(self):
        return self.there

    def recall(self, messages):
        return messages[:1]

    def wait(self, seconds):
        return seconds > 1

    def close(self):
        self.closed = True


@pytest.fixture
def door(tmp_path, monkeypatch):
    """A folder with a door at which a controller stands by, and that."""
    monkeypatch.chdir(tmp_path)
    link, busy, ends = Own(3, 4), threading.Lock(), threading.Event()
    with socket.socket(socket.AF_UNIX) as opened:
        opened.bind(server.DOOR)
        opened.listen()
        opened.settimeout(0.05)

        def serve():
            while not ends.is_set():
                with contextlib.suppress(TimeoutError):
                    line, _ = opened.accept()
                    line.setblocking(True)
                    threading.Thread(target=server._attend, args=(line, link, busy)).start()

        thread = threading.Thread(target=serve)
        thread.start()
        yield link
        ends.set()
        thread.join()


def begun(folder, own=None, fab=None, wait=0.5, said=None):
    tell = (said if said is not None else []).append
    return attach(folder, "here:1", fab, lambda: own, wait, tell)


def test_a_run_drives_it_and_afterwards_nothing_of_it_is_left(door, tmp_path):
    line = begun(tmp_path, fab=b"an app")
    assert line.nodes() == {3, 4}
    assert line.recall(["a", "b"]) == ["a"]
    assert (line.wait(2.0), line.wait(0.5)) == (True, False)
    assert door.renewed == [b"an app"]
    line.close()
    again = begun(tmp_path)  # at once, though the end of the first may not be heard yet
    assert again.nodes() == {3, 4}
    again.close()
    ends = time.monotonic() + 10
    while door.renewed != [b"an app", None, None]:
        assert time.monotonic() < ends
        time.sleep(0.01)


def test_one_run_at_a_time(door, tmp_path, monkeypatch):
    monkeypatch.setattr(client, "_FREED", 0.1)
    line = begun(tmp_path)
    with pytest.raises(ConfigError, match="one task at a time") as refused:
        begun(tmp_path)
    assert "aeros up --port PORT" in refused.value.hint
    assert line.nodes() == {3, 4}
    line.close()


def test_other_versions_are_named(door, tmp_path, monkeypatch):
    mine = threading.current_thread()
    there = {"aeros-flower": "0.1.0", "flwr": "1.41.0"}
    here = there | {"flwr": "1.38.0"}
    monkeypatch.setattr(
        server, "versions", lambda: here if threading.current_thread() is mine else there
    )
    with pytest.raises(ConfigError, match=r"versions: flwr 1\.41\.0, here 1\.38\.0") as refused:
        begun(tmp_path)
    assert refused.value.hint == "aeros down, then aeros up"
    assert door.renewed == []


def test_a_process_of_another_user_is_not_spoken_to(door, tmp_path, monkeypatch):
    monkeypatch.setattr(server, "is_mine", lambda line: False)
    with pytest.raises(ConfigError, match="another user's process"):
        begun(tmp_path)


def test_where_nobody_is_the_run_listens_itself(tmp_path):
    own, said = Own(7), []
    line = begun(tmp_path, own, said=said)
    assert line.nodes() == {7}
    assert said == ["the controller of aeros up has ended; this run listens at here:1 itself"]
    line.close()
    assert own.closed


def test_where_it_cannot_listen_either_the_run_ends(tmp_path):
    def taken():
        raise ConfigError("the port is taken")

    with pytest.raises(TaskError, match="the port is taken"):
        attach(tmp_path, "here:1", None, taken, 0.2, lambda text: None)


def test_one_that_hangs_up_is_gone_and_the_run_goes_on(door, tmp_path, monkeypatch):
    own, said = Own(9), []
    line = begun(tmp_path, own, wait=10.0, said=said)

    def lost():
        raise SessionLost("it hung up")

    monkeypatch.setattr(line._session, "nodes", lost)
    (tmp_path / server.DOOR).unlink()
    assert line.nodes() == set()
    ends = time.monotonic() + 10
    while line.nodes() != {9}:
        assert time.monotonic() < ends
        line.wait(0.05)
    assert said[-1] == "the SuperLink at here:1 is back"
    line.close()

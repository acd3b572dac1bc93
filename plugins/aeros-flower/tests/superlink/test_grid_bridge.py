"""A Grid that is used from another process."""

import socket
import threading
from types import SimpleNamespace

import pytest
from flwr.app import ConfigRecord, RecordDict

from aeros_core.errors import ConfigError
from aeros_core.tasks import waiting
from aeros_core.tasks.control import Cancelled, Control
from aeros_flower.superlink import grid_bridge
from aeros_flower.superlink.grid_bridge import GridBridge
from aeros_flower.superlink.resilient_session import SessionLost


class Grid:
    """Two nodes that answer at once; the second with an error."""

    def __init__(self):
        self.pushed = []

    def get_node_ids(self):
        return [7, 2**63 + 5]

    def push_messages(self, messages):
        self.pushed += messages
        return [f"m{len(self.pushed)}"]

    def pull_messages(self, ids):
        found = []
        for name in sorted(ids):
            message = self.pushed[int(name[1:]) - 1]
            metadata = SimpleNamespace(reply_to_message_id=name)
            bad = message.metadata.dst_node_id != 7
            error = SimpleNamespace(code=2, reason="it broke")
            found.append(SimpleNamespace(
                metadata=metadata, has_error=lambda bad=bad: bad, error=error,
                content=message.content,
            ))  # fmt: skip
        return found


@pytest.fixture
def identity(monkeypatch):
    from flwr.supercore.task_identity import TaskIdentity

    for name in ("run_id", "task_id", "node_id"):
        monkeypatch.setattr(TaskIdentity, f"_{name}", 1)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = "bridge"  # the whole path may be longer than a socket's may be
    monkeypatch.setenv(grid_bridge.PLACE, path)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(path)
        door.listen(1)
        yield door


def begun(place, grid):
    """Start the ServerApp; return this side and the thread it runs in."""
    thread = threading.Thread(target=grid_bridge.main, args=(grid, None))
    thread.start()
    return GridBridge(place.accept()[0]), thread


def a_note(text):
    return RecordDict({"note": ConfigRecord({"text": text, "data": b"\x00" * 70_000})})


def test_calls_reach_the_grid_and_answers_come_back(place, identity):
    grid = Grid()
    here, thread = begun(place, grid)
    try:
        assert here.nodes() == {7, 2**63 + 5}
        assert here.push(7, a_note("one"), 9.0, "train.aeros") == "m1"
        assert here.push(2**63 + 5, a_note("two"), None, "evaluate") == "m2"
        assert [m.metadata.message_type for m in grid.pushed] == ["train.aeros", "evaluate"]
        assert grid.pushed[0].metadata.ttl == 9.0
        answers = {one.message: one for one in here.pull({"m1", "m2"}, 9)}
        assert answers["m1"].content["note"] == a_note("one")["note"]
        assert (answers["m2"].content, answers["m2"].error) == (None, "error 2: it broke")
        assert here.pull(set(), 9) == []
    finally:
        here.close()
    thread.join(300)
    assert not thread.is_alive()


def test_answers_come_a_few_at_a_time(place, identity):
    here, _ = begun(place, Grid())
    for number in range(3):
        here.push(7, a_note(str(number)), None, "train.aeros")
    first = here.pull({"m1", "m2", "m3"}, 2)
    assert len(first) == 2
    left = {"m1", "m2", "m3"} - {one.message for one in first}
    assert [one.message for one in here.pull(left, 2)] == list(left)
    here.close()


def test_a_server_program_that_ended_is_gone(place):
    with socket.socket(socket.AF_UNIX) as other:
        other.connect(place.getsockname())
        here = GridBridge(place.accept()[0])
    with pytest.raises(SessionLost, match=r"ended|answer"):
        here.nodes()
    here.close()


def test_started_by_hand_it_says_whose_app_it_is(monkeypatch):
    monkeypatch.delenv(grid_bridge.PLACE, raising=False)
    with pytest.raises(ConfigError, match="run by aeros run") as refused:
        grid_bridge.main(None, None)
    assert "aeros_flower.server_app:app" in refused.value.hint


@pytest.mark.parametrize("cancelled", [True, False])
def test_one_that_says_nothing_is_not_waited_for_without_end(monkeypatch, cancelled):
    """A server program, or the controller of aeros up, that was stopped."""
    monkeypatch.setattr(grid_bridge, "_PATIENCE", 0.3)
    monkeypatch.setattr(waiting, "TICK", 0.05)
    control = Control()
    if cancelled:
        control.cancel()
    here, there = socket.socketpair()
    with there, here, waiting.hearing(control.check):
        line = grid_bridge.GridBridge(here)
        with pytest.raises(Cancelled if cancelled else SessionLost):
            line.nodes()

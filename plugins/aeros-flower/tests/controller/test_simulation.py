"""Messages over a Grid, as the simulation engine hands it out."""

from types import SimpleNamespace

import pytest
from flwr.app import RecordDict
from flwr.supercore.task_identity import TaskIdentity

from aeros_flower.superlink.grid import GridTransport


class Grid:
    """A Grid that keeps what is pushed, and answers when it is told to."""

    def __init__(self):
        self.sent, self.replies = [], []

    def get_node_ids(self):
        return [3, 5]

    def push_messages(self, messages):
        self.sent += messages
        return [f"m{len(self.sent)}" if m.metadata.dst_node_id in (3, 5) else "" for m in messages]

    def pull_messages(self, message_ids):
        found = [r for r in self.replies if r.metadata.reply_to_message_id in message_ids]
        self.replies = [r for r in self.replies if r not in found]
        return found


def reply(message, error=None):
    return SimpleNamespace(
        metadata=SimpleNamespace(reply_to_message_id=message),
        content=RecordDict(),
        error=error,
        has_error=lambda: error is not None,
    )


@pytest.fixture
def grid(monkeypatch):
    for name in ("run_id", "task_id", "node_id"):
        monkeypatch.setattr(TaskIdentity, f"_{name}", 1)
    return Grid()


def test_messages_go_to_nodes_with_their_time(grid):
    post = GridTransport(grid)
    assert post.nodes() == {3, 5}
    assert post.push(5, RecordDict(), 7.0) == "m1"
    (sent,) = grid.sent
    assert (sent.metadata.dst_node_id, sent.metadata.ttl) == (5, 7.0)
    assert sent.metadata.message_type == "train.aeros"


def test_a_node_that_is_gone_is_said(grid):
    assert GridTransport(grid).push(9, RecordDict()) is None


def test_answers_that_come_together_are_handed_out_one_by_one(grid):
    post = GridTransport(grid)
    grid.replies = [reply("m1"), reply("m2"), reply("m3")]
    seen = [answer.message for _ in range(4) for answer in post.pull(["m1", "m2", "m3"])]
    assert sorted(seen) == ["m1", "m2", "m3"]
    assert post.pull([]) == []


def test_an_error_is_an_answer(grid):
    grid.replies = [reply("m1", SimpleNamespace(code=2, reason="no data"))]
    (answer,) = GridTransport(grid).pull(["m1"])
    assert answer.error == "error 2: no data"


def test_nothing_is_taken_back_and_waiting_ends(grid):
    post = GridTransport(grid)
    assert post.recall(["m1"]) == []
    assert post.wait(0.001)

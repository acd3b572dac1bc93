"""What clients keep: forwards from round to round, back by one when a round is run again."""

import numpy as np
import pytest

from aeros_flower.keep import Keeping


class Nodes:
    """Keeps one number, as a desk keeps arrays and names."""

    def __init__(self):
        self.value = 0.0

    def state(self):
        return {"residual": '["a"]', "residual.w": np.array([self.value])} if self.value else {}

    def restore(self, state):
        self.value = float(state["residual.w"][0]) if state else 0.0
        assert not state or state["residual"] == '["a"]'


def train(keeping, nodes, session, number):
    keeping.begin(nodes, session, number)
    nodes.value += number
    keeping.end(nodes)
    return nodes.value


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


@pytest.mark.parametrize("killed", [False, True])
def test_a_round_that_was_not_committed_begins_where_it_began(folder, killed):
    keeping, nodes = Keeping(folder), Nodes()
    assert [train(keeping, nodes, "s", number) for number in (1, 2, 3)] == [1, 3, 6]
    if killed:
        keeping, nodes = Keeping(folder), Nodes()
    keeping.reconnect()
    assert train(keeping, nodes, "s", 3) == 6
    assert train(keeping, nodes, "s", 4) == 10


@pytest.mark.parametrize("killed", [False, True])
def test_a_round_that_was_committed_is_built_upon(folder, killed):
    keeping, nodes = Keeping(folder), Nodes()
    train(keeping, nodes, "s", 1)
    if killed:
        keeping, nodes = Keeping(folder), Nodes()
    keeping.reconnect()
    assert train(keeping, nodes, "s", 2) == 3


def test_several_messages_of_a_round_are_one_step(folder):
    keeping, nodes = Keeping(folder), Nodes()
    train(keeping, nodes, "s", 1)
    assert [train(keeping, nodes, "s", 2) for _ in range(2)] == [3, 5]
    keeping.reconnect()
    assert train(keeping, nodes, "s", 2) == 3


def test_another_run_begins_with_nothing(folder):
    keeping, nodes = Keeping(folder), Nodes()
    train(keeping, nodes, "s", 5)
    assert train(keeping, nodes, "t", 1) == 1
    assert train(keeping, nodes, "s", 6) == 11  # the first one's are still on disk


def test_where_nothing_is_kept_nothing_is_written(folder):
    keeping, nodes = Keeping(folder), Nodes()
    keeping.begin(nodes, "s", 1)
    keeping.end(nodes)
    assert not folder.exists()


def test_a_damaged_file_is_as_none(folder):
    keeping, nodes = Keeping(folder), Nodes()
    train(keeping, nodes, "s", 1)
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:40])
    assert train(Keeping(folder), Nodes(), "s", 2) == 2

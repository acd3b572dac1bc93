"""What clients keep: forwards from round to round, back by one when a round is run again."""

import json

import numpy as np
import pytest

from aeros_flower.executor.client_store import ClientStore


class Nodes:
    """Keeps a number for each client, as a desk keeps arrays and names."""

    def __init__(self):
        self.values = {}

    def state(self):
        if not self.values:
            return {}
        names = sorted(self.values)
        rows = np.array([[self.values[name]] for name in names])
        return {"residual": json.dumps(names), "residual.w.b": rows}

    def restore(self, state):
        names = json.loads(state.get("residual", "[]"))
        assert set(state) <= {"residual", "residual.w.b"}
        self.values = {name: float(state["residual.w.b"][i][0]) for i, name in enumerate(names)}


def train(keeping, nodes, number, clients="a", since="first", session="s"):
    """Let clients add the round's number to what they keep; return what all keep."""
    keeping.begin(nodes, session, number, since, list(clients))
    for client in clients:
        nodes.values[client] = nodes.values.get(client, 0.0) + number
    keeping.end(nodes)
    return dict(nodes.values)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "kept"


@pytest.mark.parametrize("killed", [False, True])
def test_a_round_that_was_not_committed_begins_where_it_began(folder, killed):
    keeping, nodes = ClientStore(folder), Nodes()
    assert [train(keeping, nodes, number)["a"] for number in (1, 2, 3)] == [1, 3, 6]
    if killed:
        keeping, nodes = ClientStore(folder), Nodes()
    assert train(keeping, nodes, 3, since="second") == {"a": 6}
    assert train(keeping, nodes, 4, since="second") == {"a": 10}


@pytest.mark.parametrize("killed", [False, True])
def test_a_round_that_was_committed_is_built_upon(folder, killed):
    keeping, nodes = ClientStore(folder), Nodes()
    train(keeping, nodes, 1)
    if killed:
        keeping, nodes = ClientStore(folder), Nodes()
    assert train(keeping, nodes, 2, since="second") == {"a": 3}


def test_of_a_round_only_those_that_are_asked_again_go_back(folder):
    """What others sent was heard of before the controller was lost."""
    keeping, nodes = ClientStore(folder), Nodes()
    train(keeping, nodes, 1, "abc")
    assert train(keeping, nodes, 2, "ab") == {"a": 3, "b": 3, "c": 1}
    assert train(keeping, nodes, 2, "bc", "second") == {"a": 3, "b": 3, "c": 3}
    assert train(keeping, nodes, 3, "abc", "second") == {"a": 6, "b": 6, "c": 6}


def test_a_client_that_kept_nothing_before_keeps_nothing_again(folder):
    keeping, nodes = ClientStore(folder), Nodes()
    assert train(keeping, nodes, 1) == {"a": 1}
    assert train(keeping, nodes, 1, "ab", "second") == {"a": 1, "b": 1}


def test_several_attempts_at_a_round_follow_each_other(folder):
    """As they do in one process: nobody was lost in between."""
    keeping, nodes = ClientStore(folder), Nodes()
    train(keeping, nodes, 1)
    assert [train(keeping, nodes, 2)["a"] for _ in range(2)] == [3, 5]
    assert train(keeping, nodes, 2, since="second") == {"a": 3}


def test_a_round_further_back_than_one_begins_with_nothing(folder):
    keeping, nodes = ClientStore(folder), Nodes()
    for number in (1, 2, 3):
        train(keeping, nodes, number)
    assert train(keeping, nodes, 2, since="second") == {"a": 2}


def test_another_run_begins_with_nothing(folder):
    keeping, nodes = ClientStore(folder), Nodes()
    train(keeping, nodes, 5)
    assert train(keeping, nodes, 1, session="t") == {"a": 1}
    assert train(keeping, nodes, 6) == {"a": 11}  # the first one's are still on disk


def test_whoever_serves_a_client_next_finds_what_it_keeps(folder):
    """As processes of an engine do that share the work of many nodes."""
    first, second = Nodes(), Nodes()
    assert train(ClientStore(folder), first, 1, "a") == {"a": 1}
    assert train(ClientStore(folder), second, 1, "b") == {"a": 1, "b": 1}
    assert train(ClientStore(folder), first, 2, "b") == {"a": 1, "b": 3}
    assert train(ClientStore(folder), second, 2, "a") == {"a": 3, "b": 3}


def test_where_nothing_is_kept_nothing_is_written(folder):
    keeping, nodes = ClientStore(folder), Nodes()
    keeping.begin(nodes, "s", 1, "first", ["a"])
    keeping.end(nodes)
    assert not folder.exists()


def test_a_damaged_file_is_as_none(folder):
    keeping, nodes = ClientStore(folder), Nodes()
    train(keeping, nodes, 1)
    (file,) = folder.iterdir()
    file.write_bytes(file.read_bytes()[:40])
    assert train(ClientStore(folder), Nodes(), 2) == {"a": 2}

"""A SuperLink as Flower ships it, behind a real port, and a run that this process claims."""

import hashlib
import threading
import time

import pytest

from aeros_core.errors import ConfigError, TaskError
from aeros_flower.executor.fleet_client import FleetClient
from aeros_flower.http.server import HttpServer, listen
from aeros_flower.protocol import messages
from aeros_flower.superlink import app_bundle, run_claim
from aeros_flower.superlink.embedded import quiet
from aeros_flower.superlink.remote import superlink
from aeros_flower.superlink.resilient_session import SessionLost
from aeros_flower.superlink.run_claim import ClaimedRun


class Elsewhere:
    """A SuperLink with everything open, that can be lost and begun anew at the same port."""

    def __init__(self):
        self.number = 0
        self.begin()

    def begin(self):
        from flwr.superlink.main import create_app

        quiet()
        app = create_app()
        self.state = app.state.linkstate_factory.state()
        self.port = HttpServer(app, listen("127.0.0.1", self.number))
        self.port.wait()
        self.address = self.port.address
        self.number = int(self.address.rpartition(":")[2])

    def end(self):
        self.port.close()

    def statuses(self):
        """Return how each run stands, by the hash of its app."""
        return {r.fab_hash: r.status.sub_status for r in self.state.get_run_info()}


@pytest.fixture
def elsewhere():
    made = Elsewhere()
    yield made
    made.end()


def a_line(elsewhere, said, wait=30.0):
    return superlink(
        elsewhere.address, None, insecure=True, fab=app_bundle.ours(), wait=wait, tell=said.append
    )


def note(number, size=0):
    return messages.pack_note("n", {"number": number, "pad": "x" * size})


def answered(fleet, number, size=0):
    """Let a node answer its next message; return what that said."""
    ends = time.monotonic() + 30
    while (asked := fleet.pull(0)) is None:
        assert time.monotonic() < ends
        time.sleep(0.02)
    fleet.push(note(number, size), asked, 0.1)
    return messages.unpack_note(asked.content, "n")["number"]


def until(done, seconds=300):
    ends = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < ends
        time.sleep(0.05)
    return found


def test_messages_go_to_nodes_and_answers_come_back(elsewhere):
    said = []
    line, fleet = a_line(elsewhere, said), FleetClient(elsewhere.address, insecure=True)
    until(lambda: fleet.number in line.nodes())
    small, large = line.push(fleet.number, note(1)), line.push(fleet.number, note(2, 7 * 2**20))
    assert line.pull([small, large]) == []
    assert {answered(fleet, 3), answered(fleet, 4, 7 * 2**20)} == {1, 2}
    got = []
    until(lambda: got.extend(line.pull([small, large], 9)) or len(got) == 2)
    assert {a.message for a in got} == {small, large}
    assert sorted(messages.unpack_note(a.content, "n")["number"] for a in got) == [3, 4]
    assert elsewhere.state.object_store.get(small) is None
    line.close()
    assert set(elsewhere.statuses().values()) == {"completed"}
    fleet.close()
    assert said == []


def test_a_node_that_left_is_an_error(elsewhere):
    line, fleet = a_line(elsewhere, []), FleetClient(elsewhere.address, insecure=True)
    until(lambda: fleet.number in line.nodes())
    message = line.push(fleet.number, note(1))
    fleet.close()
    (answer,) = until(lambda: line.pull([message]))
    assert (answer.message, answer.content) == (message, None)
    assert answer.error
    assert line.push(fleet.number, note(2)) is None
    line.close()


def test_one_that_was_lost_is_found_again_with_a_new_run(elsewhere):
    said = []
    line = a_line(elsewhere, said)
    assert line.nodes() == set()
    elsewhere.end()
    until(lambda: line.nodes() == set() and said)
    elsewhere.begin()  # it knows nothing of what was
    fleet = FleetClient(elsewhere.address, insecure=True)
    until(lambda: fleet.number in line.nodes())
    message = line.push(fleet.number, note(1))
    assert answered(fleet, 2) == 1
    assert until(lambda: line.pull([message]))[0].message == message
    assert [text.split(" is ")[1].split()[0] for text in said] == ["lost", "back"]
    line.close()
    fleet.close()


def test_of_another_run_that_is_over_an_answer_is_not_wanted(elsewhere):
    first = a_line(elsewhere, [])
    fleet = FleetClient(elsewhere.address, insecure=True)
    until(lambda: fleet.number in first.nodes())
    first.push(fleet.number, note(1))
    asked = until(lambda: fleet.pull(0))
    first.close()
    assert not fleet.push(note(2), asked, 0.1)
    fleet.close()


def test_a_run_that_was_left_behind_is_taken_up(elsewhere):
    left = ClaimedRun.__new__(ClaimedRun)
    left._address, left._root, left._insecure, left._fab = (
        elsewhere.address,
        None,
        True,
        app_bundle.ours(),
    )
    left._over = threading.Event()
    run = left._start()  # and nobody claimed it
    made = ClaimedRun(elsewhere.address, None, insecure=True, fab=app_bundle.ours())
    assert made.run == run
    made.close()


def test_the_run_of_another_app_fails_and_says_why(elsewhere):
    from flwr.supercore.constant import NOOP_FEDERATION_ID, TaskType
    from flwr.supercore.fab import Fab

    theirs = app_bundle.ours() + b"\0"
    number = elsewhere.state.create_run(
        "somebody/app", "1.0.0", elsewhere.state.store_fab(Fab("", theirs, {})), {},
        NOOP_FEDERATION_ID, None, None, TaskType.SERVER_APP,
    )  # fmt: skip
    made = ClaimedRun(elsewhere.address, None, insecure=True, fab=app_bundle.ours())
    assert made.run != number
    assert elsewhere.statuses()[hashlib.sha256(theirs).hexdigest()] == "failed"
    made.close()


def test_a_superlink_that_hands_out_no_tasks_is_named(elsewhere, monkeypatch):
    monkeypatch.setattr(run_claim, "_EACH", 0.3)
    taken = elsewhere.state.claim_task
    monkeypatch.setattr(type(elsewhere.state), "claim_task", lambda *_: None)
    with pytest.raises(TaskError, match="starts server programs by itself") as refused:
        ClaimedRun(elsewhere.address, None, insecure=True, fab=app_bundle.ours())
    assert "--isolation process" in refused.value.hint
    assert taken
    assert set(elsewhere.statuses().values()) == {"stopped"}


def test_nobody_there_is_gone_and_somebody_else_is_no_superlink(elsewhere):
    elsewhere.end()
    with pytest.raises(SessionLost):
        ClaimedRun(elsewhere.address, None, insecure=True, fab=app_bundle.ours())
    with pytest.raises(TaskError, match=r"could not be reached for 0\.1 s"):
        a_line(elsewhere, [], wait=0.1)
    elsewhere.begin()
    with pytest.raises(ConfigError, match="does not speak TLS"):
        superlink(
            elsewhere.address, None, insecure=False, fab=app_bundle.ours(), wait=1.0, tell=print
        )

"""A SuperLink in this process, and nodes that speak to it over a real port."""

import socket
import threading
import time

import pytest

from aeros_core.errors import ConfigError
from aeros_flower.executor.fleet_client import FleetClient, Lost
from aeros_flower.http import long_polling
from aeros_flower.http.server import listen
from aeros_flower.protocol import messages
from aeros_flower.superlink import embedded


@pytest.fixture(scope="module")
def here():
    made = embedded.EmbeddedSuperLink(listen("127.0.0.1", 0))
    yield made
    made.close()


@pytest.fixture
def fleet(here):
    made = FleetClient(here.address, insecure=True)
    yield made
    made.close()


def pulled(here, *messages, most=9, seconds=300):
    ends, found = time.monotonic() + seconds, []
    while len(found) < len(messages) and time.monotonic() < ends:
        found += here.pull(messages, most)
        here.wait(0.05)
    return found


def note(number, size=0):
    return messages.pack_note("n", {"number": number, "pad": "x" * size})


def test_a_message_reaches_its_node_and_the_answer_comes_back(here, fleet):
    assert fleet.number in here.nodes()
    message = here.push(fleet.number, note(1))
    asked = fleet.pull(5)
    assert messages.unpack_note(asked.content, "n")["number"] == 1
    assert here.pull([message]) == []
    assert fleet.push(note(2), asked, 0.1)
    (answer,) = pulled(here, message)
    assert answer.message == message
    assert messages.unpack_note(answer.content, "n")["number"] == 2
    assert here._objects == {}


def test_a_question_waits_until_there_is_a_message(here, fleet):
    late = threading.Timer(0.5, here.push, (fleet.number, note(3)))
    late.start()
    began = time.monotonic()
    asked = fleet.pull(20)
    assert messages.unpack_note(asked.content, "n")["number"] == 3
    assert 0.4 < time.monotonic() - began < 19
    assert fleet.pull(0) is None
    assert fleet.number in here.executors()


def test_numbers_of_executors_do_not_grow_without_end(here, monkeypatch):
    monkeypatch.setattr(long_polling, "_MOST", 3)
    here.bell.patient.clear()
    for node in ("1", "2", "3", "4", "x", "", "9" * 30):
        here.bell._remember(node)
    assert here.executors() == {4}


def test_a_large_answer_is_whole_or_not_there(here, fleet):
    message = here.push(fleet.number, note(4, size=12 * 2**20))
    asked = fleet.pull(5)
    assert len(messages.unpack_note(asked.content, "n")["pad"]) == 12 * 2**20
    sender = threading.Thread(target=fleet.push, args=(note(5, size=12 * 2**20), asked, 0.1))
    sender.start()
    (answer,) = pulled(here, message)
    sender.join()
    assert len(messages.unpack_note(answer.content, "n")["pad"]) == 12 * 2**20


def test_what_was_not_asked_for_can_be_taken_back(here, fleet):
    first, second = here.push(fleet.number, note(6)), here.push(fleet.number, note(7))
    asked = fleet.pull(5)
    assert here.recall([first, second]) == [second]
    assert fleet.pull(0) is None
    here.drop([first])
    assert not fleet.push(note(8), asked, 0.1)  # nobody waits for it any more
    assert here._state.object_store.get(first) is None


def test_a_node_that_leaves_is_gone_at_once_and_its_messages_are_errors(here):
    fleet = FleetClient(here.address, insecure=True)
    message = here.push(fleet.number, note(9))
    fleet.close()
    assert fleet.number not in here.nodes()
    (answer,) = pulled(here, message)
    assert answer.content is None
    assert answer.error
    assert here.push(fleet.number, note(10)) is None


def test_a_node_without_superlink_is_lost():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Lost):
        FleetClient(f"127.0.0.1:{port}", insecure=True)


def test_a_port_that_is_taken_is_named():
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ConfigError) as refused:
            listen("127.0.0.1", port)
    assert f"controller.port={port}" in str(refused.value)
    assert "end what listens there" in str(refused.value)


@pytest.mark.parametrize(
    ("host", "port", "said"),
    [
        ("127.0.0.1", 99999, "controller.port=99999 is no port"),
        ("192.0.2.9", 0, "controller.host=ADDRESS, one of this machine's"),
        ("no.such.host.invalid", 0, "controller.host=ADDRESS, one of this machine's"),
    ],
)
def test_an_address_that_is_none_of_this_machines_is_named(host, port, said):
    with pytest.raises(ConfigError) as refused:
        listen(host, port)
    assert said in str(refused.value)

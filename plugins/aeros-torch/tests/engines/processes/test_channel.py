import os
import socket
from threading import Thread

import pytest

from aeros_torch.engines.processes.channel import Channel


@pytest.fixture
def ends():
    here, there = Channel.pair()
    other = Channel(there)
    yield here, other
    here.close()
    other.close()


def test_a_message_arrives_as_it_was_sent(ends):
    here, there = ends
    told = {"node": "client-\udcff ü", "seed": 2**63 - 1, "rate": 0.1 + 0.2, "none": None}
    here.send(told, b"\0rows")
    here.send({})
    assert there.receive() == (told, b"\0rows", [])
    assert there.receive() == ({}, b"", [])


def test_large_messages_arrive_while_they_are_sent(ends):
    here, there = ends
    more = os.urandom(3 * 2**20)
    sending = Thread(target=here.send, args=({"large": True}, more))
    sending.start()
    assert there.receive() == ({"large": True}, more, [])
    sending.join()


def test_open_files_are_handed_over(ends, tmp_path):
    here, there = ends
    path = tmp_path / "file"
    path.write_text("what is in it")
    with path.open() as file:
        here.send({"a": 1}, files=[file.fileno()])
        told, _, (number,) = there.receive()
    assert told == {"a": 1}
    with os.fdopen(number) as same:
        assert same.read() == "what is in it"


def test_a_closed_end_is_noticed(ends):
    here, there = ends
    here.close()
    with pytest.raises(EOFError):
        there.receive()
    with pytest.raises(OSError):  # noqa: PT011 - broken pipe or reset, by the system
        there.send({})


def test_a_message_cut_short_is_noticed():
    here, there = socket.socketpair()
    here.sendall(b"\0\0\0\x09\0\0\0\0\0\0\0\0\0{")
    here.close()
    wire = Channel(there)
    with pytest.raises(EOFError):
        wire.receive()
    wire.close()

"""What requests that have not come whole may hold, all clients together; by real sockets."""

import contextlib
import json
import socket
import threading
import time

import pytest

from aeros_core.errors import ConfigError
from aeros_serving.config import Where
from aeros_serving.protocol.buffer_budget import BufferBudget

HALF = 2**20
START = b"POST /v2/models/toy/infer HTTP/1.1\r\nhost: a\r\n"
HEAD = START + b"content-length: %d\r\n\r\n" % (2 * HALF)


class Holds:
    """Something that holds bytes, until it is told to let go."""

    def __init__(self, room):
        self.room, self.told = room, []

    def hold(self, size):
        self.room.hold(self, size)

    def evict(self, why):
        self.told.append(why)
        self.room.hold(self, 0)


def test_the_longest_held_makes_room():
    room = BufferBudget(100)
    a, b, c = (Holds(room) for _ in range(3))
    a.hold(40)
    b.hold(40)
    a.hold(60)
    assert (room.held, a.told) == (100, [])
    c.hold(30)
    assert (room.held, len(a.told), b.told) == (70, 1, [])
    assert "hold 100 bytes" in a.told[0]
    a.hold(30)  # it begins anew, behind the others
    c.hold(40)
    assert (room.held, len(a.told), len(b.told), c.told) == (70, 1, 1, [])
    for each in (a, b, c):
        each.hold(0)
    assert room.held == 0


def test_who_wants_more_than_there_is_gets_none():
    room = BufferBudget(100)
    a, b = Holds(room), Holds(room)
    a.hold(50)
    b.hold(101)
    assert (len(a.told), len(b.told), room.held) == (1, 1, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_unfinished": 1000}, "serving.max_unfinished=1000 has no room for one request of"),
        ({"max_unfinished": -1}, "serving.max_unfinished must be 0 or more, got -1"),
    ],
)
def test_a_bound_that_cannot_be(running, options, said):
    with pytest.raises(ConfigError, match=said):
        running(**options)


def held(server):
    return server.server._limits.room.held


def until(true, seconds=60):
    """Wait until something is true."""
    ends = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < ends
        time.sleep(0.01)


def refused(sock):
    """Return status and text of what a client is told, if it was refused by now."""
    sock.settimeout(0.05)
    found = b""
    with contextlib.suppress(TimeoutError, ConnectionError):
        while piece := sock.recv(65536):
            found += piece
    return (int(found.split()[1]), json.loads(found.partition(b"\r\n\r\n")[2])) if found else None


def test_many_clients_with_half_a_body_hold_no_more_than_the_bound(running):
    server = running(max_body=2 * HALF, max_unfinished=8 * HALF, read_timeout=60.0)
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(30):
            sock = socket.create_connection(("127.0.0.1", server.http), timeout=20)
            clients.append(stack.enter_context(sock))
            sock.sendall(HEAD + bytes(HALF))
            assert held(server) <= server.server._limits.room.size + 2**18
        until(lambda: held(server) > 6 * HALF)
        assert server.infer()[0] == 200  # everybody else is served
        told = [refused(sock) for sock in clients]
        assert {each[0] for each in told if each} == {503}
        assert "hold 8,388,608 bytes" in told[0][1]["error"]
        assert sum(each is not None for each in told) >= 22
        assert told[-1] is None  # who came last may go on
        clients[-1].sendall(bytes(HALF))
        clients[-1].settimeout(20)
        assert clients[-1].recv(12) == b"HTTP/1.1 400"  # whole, and no JSON
    until(lambda: held(server) == 0)


def test_a_body_in_tiny_chunks_costs_what_it_holds(running):
    server = running(max_body=2**16, max_unfinished=2**20, read_timeout=60.0)
    with socket.create_connection(("127.0.0.1", server.http), timeout=20) as sock:
        sock.sendall(START + b"transfer-encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 20_000)
        until(lambda: held(server) == 20_000)
        assert server.infer()[0] == 200
        sock.sendall(b"1\r\na\r\n" * 50_000)
        status, told = refused_of(sock)
        assert (status, "65,536 are taken" in told) == (413, True)
    until(lambda: held(server) == 0)


def refused_of(sock):
    found = b""
    while piece := sock.recv(65536):
        found += piece
    return int(found.split()[1]), json.loads(found.partition(b"\r\n\r\n")[2])["error"]


def test_little_is_read_of_what_waits_behind_another_request(running, toys):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(max_body=HALF, max_unfinished=2 * HALF, where=Where.thread)
    inferencer.gate.clear()
    body = bytes(HALF - 1000)
    whole = START + b"content-length: %d\r\n\r\n" % len(body) + body
    with socket.create_connection(("127.0.0.1", server.http), timeout=20) as sock:
        sending = threading.Thread(target=sock.sendall, args=[server.request() + 4 * whole])
        sending.start()
        until(lambda: held(server) > 0)
        time.sleep(0.2)
        assert held(server) < HALF
        inferencer.gate.set()
        found = b""
        while found.count(b"HTTP/1.1 400") < 4:
            found += sock.recv(65536)
        sending.join(60)
    assert b"[2.0,4.0,6.0]" in found  # of the one before
    until(lambda: held(server) == 0)

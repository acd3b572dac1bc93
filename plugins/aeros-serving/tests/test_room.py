"""What requests that have not come whole may hold, all clients together; by real sockets."""

import contextlib
import json
import socket
import time

import h2.config
import h2.connection
import h2.events
import pytest

from aeros_core.errors import ConfigError
from aeros_serving.config import Where
from aeros_serving.room import Room
from aeros_serving.status import CODES

HALF = 2**20
HEAD = f"POST /v2/models/toy/infer HTTP/1.1\r\ncontent-length: {2 * HALF}\r\n\r\n".encode()
ASK = [(":method", "POST"), (":scheme", "http"), (":authority", "a"),
       (":path", "/inference.GRPCInferenceService/ModelInfer"),
       ("content-type", "application/grpc"), ("te", "trailers")]  # fmt: skip


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
    room = Room(100)
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
    room = Room(100)
    a, b = Holds(room), Holds(room)
    a.hold(50)
    b.hold(101)
    assert (len(a.told), len(b.told), room.held) == (1, 1, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"max_unfinished": 1000}, "serving.max_unfinished=1000 has no room for one request of"),
        ({"max_unfinished": -1}, "serving.max_unfinished=-1"),
    ],
)
def test_a_bound_that_cannot_be(running, options, said):
    with pytest.raises(ConfigError, match=said):
        running(**options)


def held(server):
    return server.server._limits.room.held


def until(true, seconds=20):
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
    server = running(max_body=2**16, max_unfinished=2**16, read_timeout=60.0)
    chunks = b"1\r\na\r\n" * 2000  # 64 bytes each, with their keeping
    head = b"POST /v2/models/toy/infer HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"
    status, told = refused_by(server, head + chunks)
    assert (status, "hold 65,536 bytes" in told) == (503, True)
    assert held(server) == 0


def refused_by(server, data):
    answer = server.raw(data)
    return int(answer.split()[1]), json.loads(answer.partition(b"\r\n\r\n")[2])["error"]


def test_whole_requests_that_wait_behind_another_are_counted(running, toys):
    inferencer = toys.repository.all["toy", 1][1]
    server = running(max_body=HALF, max_unfinished=2 * HALF, where=Where.thread)
    inferencer.gate.clear()
    body = bytes(HALF - 1000)
    whole = b"POST /v2/models/toy/infer HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % len(body) + body
    with socket.create_connection(("127.0.0.1", server.http), timeout=20) as sock:
        sock.sendall(server.request() + whole)
        until(lambda: held(server) == len(body))
        sock.sendall(whole + whole)
        until(lambda: held(server) == 0)
        inferencer.gate.set()
        assert b"[2.0,4.0,6.0]" in sock.recv(65536)  # the one before is answered


class Caller:
    """A gRPC client that sends half a message in each of its calls."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
        self.h2.initiate_connection()
        self.told = {}
        self.send()

    def send(self):
        self.sock.sendall(self.h2.data_to_send())

    def half(self, stream, size):
        self.h2.send_headers(stream, ASK)
        self.send()
        left = size
        while left and stream not in self.told:
            room = min(left, self.h2.local_flow_control_window(stream), 16384)
            if room:
                self.h2.send_data(stream, bytes(room))
                left -= room
                self.send()
            else:
                self.listen(20)

    def listen(self, seconds):
        self.sock.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            for event in self.h2.receive_data(self.sock.recv(65536)):
                fields = dict(getattr(event, "headers", None) or ())
                if b"grpc-status" in fields:
                    self.told[event.stream_id] = int(fields[b"grpc-status"])
            self.send()


def test_many_calls_with_half_a_message_hold_no_more_than_the_bound(running):
    server = running(max_body=2 * HALF, max_unfinished=8 * HALF, read_timeout=60.0)
    with contextlib.ExitStack() as stack:
        callers = [Caller(server.grpc) for _ in range(3)]
        for caller in callers:
            stack.enter_context(caller.sock)
            for stream in range(1, 21, 2):
                caller.half(stream, HALF)
                assert held(server) <= 8 * HALF
        until(lambda: held(server) > 6 * HALF)
        for caller in callers[:2]:
            until(lambda caller=caller: caller.listen(0.05) or len(caller.told) == 10)
            assert set(caller.told.values()) == {CODES["RESOURCE_EXHAUSTED"]}
        assert 19 not in callers[2].told
        assert server.infer()[0] == 200
    until(lambda: held(server) == 0)

"""What a controller may not ask of an executor, and what an executor may not say of itself."""

import gzip
import threading
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import numpy as np
import pytest

from aeros_core.messages import Instruction
from aeros_core.parameters import Parameters
from aeros_core.tasks.infrastructure import Description, this_machine
from aeros_flower.membership.connected_executor import introduced
from aeros_flower.membership.executors import Executors
from aeros_flower.protocol import messages, request_limits
from aeros_flower.protocol.message_content import WireError
from aeros_flower.superlink.embedded import PulledMessages

PARAMETERS = Parameters.of({"w": np.zeros(4, "float32")})
TOLD = Instruction(1, "client-0", PARAMETERS, deadline=5.0)
ELEMENT = asdict(this_machine(Description()))
NAN, INF = float("nan"), float("inf")


def test_what_is_within_bounds_is_read():
    told = [replace(TOLD, node=f"client-{i}", seed=2**64) for i in range(3)]
    assert [i.node for i in messages.unpack_instructions(messages.pack_instructions(told))] == [
        "client-0", "client-1", "client-2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("told", "said"),
    [
        ({"deadline": NAN}, "a deadline of nan s"),
        ({"deadline": INF}, "a deadline of inf s"),
        ({"deadline": -INF}, "a deadline of -inf s"),
        ({"deadline": -1.0}, "a deadline of -1 s"),
        ({"deadline": 0.0}, "a deadline of 0 s"),
        ({"deadline": 1e12}, "a deadline of 1e\\+12 s"),
        ({"round": 0}, "round 0"),
        ({"round": -(2**80)}, "round -1.21e\\+24"),
        ({"round": 2**53}, "round 9.01e\\+15"),
        ({"seed": -1}, "a seed"),
        ({"seed": 2**200}, "a seed"),
        ({"node": "x" * 1001}, "a name of 1001 letters"),
        ({"scalars": {f"s{i}": 0.0 for i in range(1001)}}, "1001 numbers, over 1000"),
        ({"scalars": {"s" * 2000: 0.0}}, "a name of 2000 letters among its numbers"),
        ({"vectors": {f"v{i}": np.zeros(1, "f4") for i in range(65)}}, "65 vectors, over 64"),
        ({"personal": tuple(f"p{i}" for i in range(1001))}, "1001 patterns"),
        ({"personal": ("*" * 10**5,)}, "a name of 100000 letters"),
    ],
)
def test_what_a_controller_may_not_ask(told, said):
    with pytest.raises(WireError, match=said):
        messages.unpack_instructions(messages.pack_instructions([replace(TOLD, **told)]))


def test_nobody_and_the_same_client_twice_are_not_asked(monkeypatch):
    with pytest.raises(WireError, match="1 clients are asked twice"):
        messages.unpack_instructions(messages.pack_instructions([TOLD, TOLD]))
    with pytest.raises(WireError, match="names no client"):
        request_limits.check_instructions([])
    monkeypatch.setattr(request_limits, "_CLIENTS", 2)
    many = [replace(TOLD, node=f"client-{i}") for i in range(3)]
    with pytest.raises(WireError, match="3 clients, over 2"):
        messages.unpack_instructions(messages.pack_instructions(many))


class Long(BaseHTTPRequestHandler):
    def do_GET(self):
        body = bytes(2**20) if self.path == "/long" else gzip.compress(bytes(2**20))
        self.send_response(200)
        if self.path == "/packed":
            self.send_header("content-encoding", "gzip")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server():
    made = ThreadingHTTPServer(("127.0.0.1", 0), Long)
    thread = threading.Thread(target=made.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{made.server_address[1]}"
    made.shutdown()
    made.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("path", "said"), [("/long", "more than 1000 bytes"), ("/packed", "a packed answer")]
)
def test_an_answer_that_is_too_long_or_packed_is_not_taken(server, monkeypatch, path, said):
    monkeypatch.setattr(request_limits, "_ANSWER", 1000)
    with (
        httpx.Client(transport=request_limits.Bounded(httpx.HTTPTransport())) as client,
        pytest.raises(httpx.RemoteProtocolError, match=said),
    ):
        client.get(server + path)


def test_an_answer_within_bounds_is_taken(server):
    with httpx.Client(transport=request_limits.Bounded(httpx.HTTPTransport())) as client:
        assert len(client.get(server + "/long").content) == 2**20


# ---------------------------------------------------------------- of itself


GOOD = {"name": "a", "own": False, "versions": {}, "element": ELEMENT, "examples": 3}


def prepared(**other):
    return messages.pack_note("prepared", GOOD | other)


def test_what_an_executor_says_of_itself_is_read():
    assert introduced(7, prepared()).examples == 3


BAD = {
    "no name": {"name": ""},
    "a long name": {"name": "x" * 10**6},
    "a name with lines": {"name": "a\nexecutor b takes part"},
    "a name with colours": {"name": "\x1b[31mred"},
    "a name of another kind": {"name": 5},
    "negative examples": {"examples": -1},
    "very many examples": {"examples": 10**30},
    "examples of another kind": {"examples": 1.5},
    "an element of nothing": {"element": {}},
    "an element of a list": {"element": [1]},
    "an element with more": {"element": ELEMENT | {"x": 1}},
    "a description of nothing": {"element": ELEMENT | {"description": 5}},
    "versions of a list": {"versions": [1]},
}


@pytest.mark.parametrize("told", BAD.values(), ids=BAD.keys())
def test_what_an_executor_may_not_say_of_itself(told):
    with pytest.raises(WireError):
        introduced(7, prepared(**told))


def test_what_is_too_large_is_not_even_read(monkeypatch):
    monkeypatch.setattr("aeros_flower.membership.connected_executor._LARGEST", 1000)
    with pytest.raises(WireError, match="bytes, more than 1000"):
        introduced(7, prepared(pad="x" * 2000))


class Post:
    """Nodes that say what they are told to, once they are asked."""

    def __init__(self):
        self.there, self.answers, self.recalled = {}, [], []

    def nodes(self):
        return set(self.there)

    def push(self, node, content, seconds=None):
        if content["aeros"]["kind"] == "prepare" and self.there[node] is not None:
            self.answers.append(PulledMessages(f"m{node}", self.there[node]))
        return f"m{node}" if content["aeros"]["kind"] == "prepare" else f"r{node}"

    def pull(self, messages, most=1):
        found = [a for a in self.answers if a.message in set(messages)]
        self.answers = [a for a in self.answers if a not in found]
        return found

    def recall(self, messages):
        self.recalled += messages
        return []

    def wait(self, seconds):
        return False


def roster(post, judge=lambda member: ""):
    said = []
    return Executors(post, messages.pack_note("prepare", {}), judge, said.append), said


@pytest.mark.parametrize(
    "error", [KeyError("x"), TypeError("x"), ValueError("x"), AttributeError("x"), OSError("x")]
)
def test_whatever_is_wrong_with_one_costs_it_alone(error):
    def judge(member):
        if member.name == "odd":
            raise error
        return ""

    post = Post()
    post.there = {1: prepared(name="odd"), 2: prepared(name="good")}
    made, said = roster(post, judge)
    made.refresh()
    assert [member.name for member in made.fit] == ["good"]
    assert "what it says of itself is incomplete" in made.unfit["odd"]
    assert "executor good takes part" in said


def test_one_that_refuses_to_prepare_is_named_with_its_own_reason():
    post = Post()
    post.there = {1: messages.pack_note("refused", {"reason": "unreadable: protocol 1, not 2"})}
    made, said = roster(post)
    made.refresh()
    assert made.unfit == {"node 1": "it refuses to prepare: unreadable: protocol 1, not 2"}
    assert said == [
        "executor node 1 cannot take part: it refuses to prepare: unreadable: protocol 1, not 2"
    ]


def test_a_flood_of_odd_nodes_takes_bounded_memory_and_few_lines():
    post = Post()
    post.there = {number: prepared(name=5) for number in range(1, 3001)}
    made, said = roster(post)
    made.refresh()
    assert len(made.unfit) == 1000
    post.there = {}
    for number in range(1, 500):  # one that comes and goes
        post.there = {10**6 + number: prepared(name="fast")}
        made.refresh()
    assert sum("executor fast takes part" in line for line in said) == 10
    assert len(made.members) == 1


def test_what_a_node_that_has_gone_was_asked_is_kept_nowhere():
    post = Post()
    post.there = {1: None}
    made, _ = roster(post)
    made.refresh()
    assert made.preparing == 1
    post.there = {}
    made.refresh()
    assert made.preparing == 0
    assert post.recalled == ["m1"]

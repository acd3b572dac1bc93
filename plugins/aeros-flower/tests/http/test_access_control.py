"""The gate: who reaches which path, and what a request may take."""

import asyncio
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.supercore.protobuf.client import ProtobufRequestContext
from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from aeros_flower.http.access_control import AccessControl, Limits
from aeros_flower.security import keys

PULL = "/v1/fleet/pull-messages"
CLOSED = sorted(path for _, path in PROTOBUF_REQUEST_TYPES if not path.startswith("/v1/fleet/"))
FLEET = sorted(path for _, path in PROTOBUF_REQUEST_TYPES if path.startswith("/v1/fleet/"))


class Inside:
    """The application behind the gate: it notes the bodies of what reached it."""

    def __init__(self):
        self.bodies = []

    async def __call__(self, scope, receive, send):
        self.bodies.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})


@pytest.fixture
def inside():
    return Inside()


@pytest.fixture
def node(tmp_path):
    keys.generate(tmp_path / "edge.key", tmp_path / "nodes" / "edge.pub")
    return keys.private(tmp_path / "edge.key")


@pytest.fixture
def admitted(node, tmp_path):
    return keys.Admitted(tmp_path / "nodes", every=0)


def ask(gate, path=PULL, method="POST", headers=None, parts=(b"body",), wait=0.0, **scope):
    """Send one request; return status and body of the answer."""
    said, waiting = [], list(parts)

    async def receive():
        await asyncio.sleep(wait)
        if not waiting:
            return {"type": "http.disconnect"}
        part = waiting.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(event):
        said.append(event)

    raw = [(k.lower().encode(), v.encode()) for k, v in (headers or {}).items()]
    scope = {"type": "http", "method": method, "path": path, "root_path": "",
             "headers": raw, "client": ("192.0.2.9", 1)} | scope  # fmt: skip
    asyncio.run(gate(scope, receive, send))
    return said[0].get("status"), said[-1].get("body", b"")


def signed(key):
    """Return the headers that a stock SuperNode sends."""
    request = httpx.Request("POST", "http://server" + PULL)
    context = ProtobufRequestContext("pull", None, request)
    NodeAuthHttpInterceptor(key, key.public_key()).intercept(context, lambda _: None)
    return dict(request.headers)


def forged(key, stamp, listed=None):
    signature = key.sign(stamp.encode(), ec.ECDSA(hashes.SHA256()))
    pem = keys.public_bytes((listed or key).public_key())
    return {
        "flwr-public-key": b64encode(pem).decode(),
        "flwr-timestamp": stamp,
        "flwr-signature": b64encode(signature).decode(),
    }


def now(**off):
    return (datetime.now(UTC) + timedelta(**off)).isoformat()


@pytest.mark.parametrize("path", [
    *CLOSED, "/", "/docs", "/openapi.json", "/v1/fleet", "/v1/fleet/",
    "/v1/fleet/../control/start-run", "/v1/fleet/a/../../runtime/acquire-task",
    "/V1/FLEET/pull-messages", "//v1/fleet/pull-messages",
    "/v1/fleet/pull-messages/", "/v1/fleet/pull-messages\n", "/health/", "/health",
])  # fmt: skip
def test_nothing_is_reached_but_the_fleet(inside, path):
    assert ask(AccessControl(inside), path) == (404, b"")
    assert inside.bodies == []


@pytest.mark.parametrize("path", FLEET)
def test_the_fleet_is_reached(inside, path):
    assert ask(AccessControl(inside), path) == (200, b"inside")
    assert inside.bodies == [b"body"]


def test_health_is_told_but_nothing_may_be_sent_to_it(inside):
    assert ask(AccessControl(inside), "/health", "GET", parts=(b"",)) == (200, b"inside")
    assert ask(AccessControl(inside), "/health", "PUT")[0] == 404


@pytest.mark.parametrize("host", ["a/v1/x", "a?b", "a#b", "a b", "a@b"])
def test_a_host_that_would_hide_the_path_is_refused(inside, host):
    assert ask(AccessControl(inside), headers={"host": host})[0] == 404


def test_a_root_path_is_refused(inside):
    assert ask(AccessControl(inside), root_path="/v1")[0] == 404


def test_websockets_are_closed(inside):
    said = []

    async def send(event):
        said.append(event["type"])

    scope = {"type": "websocket", "path": PULL, "headers": []}
    asyncio.run(AccessControl(inside)(scope, None, send))
    assert said == ["websocket.close"]


# ---------------------------------------------------------------- keys


def test_an_admitted_node_passes_and_is_made_known_once(inside, admitted, node):
    known = []
    gate = AccessControl(
        inside, admitted=admitted, enrol=lambda pem, name: known.append((pem, name))
    )
    for _ in range(2):
        assert ask(gate, headers=signed(node)) == (200, b"inside")
    assert known == [(keys.public_bytes(node.public_key()), "edge")]


def test_a_node_that_is_not_admitted_is_not_read(inside, admitted):
    gate = AccessControl(inside, admitted=admitted)
    stranger = ec.generate_private_key(ec.SECP384R1())
    assert ask(gate, headers=signed(stranger), parts=(AssertionError("read"),)) == (401, b"")
    assert ask(gate) == (401, b"")


def test_a_stranger_with_a_nodes_public_key_is_refused(inside, admitted, node):
    gate = AccessControl(inside, admitted=admitted)
    stranger = ec.generate_private_key(ec.SECP384R1())
    assert ask(gate, headers=forged(stranger, now(), listed=node))[0] == 401
    assert ask(gate, headers=forged(node, now()))[0] == 200


@pytest.mark.parametrize("stamp", [
    now(minutes=-6), now(minutes=6), "", "noon", "2026-01-01T00:00:00", "\u0661",
], ids=["old", "future", "empty", "words", "no-zone", "digit"])  # fmt: skip
def test_an_old_or_odd_time_is_refused(inside, admitted, node, stamp):
    assert ask(AccessControl(inside, admitted=admitted), headers=forged(node, stamp))[0] == 401


@pytest.mark.parametrize(("off", "why"), [
    ({}, None), ({"minutes": 15}, "clock"), ({"minutes": -15}, "clock"), ({"days": 400}, "clock"),
])  # fmt: skip
def test_a_clock_that_is_off_is_named_to_admitted_nodes_alone(inside, admitted, node, off, why):
    """A key that is admitted is not called another's because the time is wrong."""
    heard = []
    gate = AccessControl(inside, admitted=admitted, refused=lambda why, who: heard.append(why))
    headers = forged(node, now(**off))
    assert ask(gate, headers=headers)[0] == (401 if why else 200)
    assert heard == ([why] if why else [])
    stranger = ec.generate_private_key(ec.SECP384R1())
    ask(gate, headers=forged(stranger, now(**off)))
    ask(gate, headers=forged(stranger, now(**off), listed=node))
    assert heard[-2:] == ["key", "key"]


@pytest.mark.parametrize("header", ["flwr-public-key", "flwr-timestamp", "flwr-signature"])
def test_a_header_that_is_damaged_missing_or_there_twice_is_refused(inside, admitted, node, header):
    gate, good = AccessControl(inside, admitted=admitted), signed(node)
    assert ask(gate, headers=good | {header: "%"})[0] == 401
    assert ask(gate, headers={k: v for k, v in good.items() if k != header})[0] == 401
    assert ask(gate, headers=good | {header.title(): good[header]})[0] == 401


@pytest.mark.parametrize("path", ["/v1/fleet/register-node", "/v1/fleet/unregister-node"])
def test_nobody_enrols_himself_where_nodes_are_listed(inside, admitted, node, path):
    assert ask(AccessControl(inside, admitted=admitted), path, headers=signed(node))[0] == 401


def test_a_revoked_node_is_refused_at_its_next_request(inside, admitted, node, tmp_path):
    gate = AccessControl(inside, admitted=admitted)
    assert ask(gate, headers=signed(node))[0] == 200
    (tmp_path / "nodes" / "edge.pub").unlink()
    assert ask(gate, headers=signed(node))[0] == 401


# ---------------------------------------------------------------- limits


def test_a_body_arrives_whole_however_it_was_cut(inside):
    ask(AccessControl(inside), parts=(b"a", b"", b"b" * 1000))
    assert inside.bodies == [b"a" + b"b" * 1000]


@pytest.mark.parametrize("length", ["11", "-1", "1e9", "9" * 40])
def test_a_body_that_says_it_is_too_long_is_not_read(inside, length):
    gate = AccessControl(inside, limits=Limits(body=10))
    said = ask(gate, headers={"content-length": length}, parts=(AssertionError("read"),))
    assert said == (413, b"")


def test_a_body_that_turns_out_too_long_is_dropped(inside):
    gate = AccessControl(inside, limits=Limits(body=10))
    assert ask(gate, parts=(b"123456", b"7890", b"1"))[0] == 413
    assert ask(gate, parts=(b"123456", b"7890"))[0] == 200


def test_a_body_that_never_ends_is_not_waited_for(inside):
    gate = AccessControl(inside, limits=Limits(patience=0.05, slowest=1e9))
    assert ask(gate, parts=[b"."] * 10_000, wait=0.02)[0] == 408
    assert inside.bodies == []


def test_too_many_bodies_at_once_are_turned_away(inside):
    gate = AccessControl(inside, limits=Limits(bodies=0))
    assert ask(gate)[0] == 503


def test_refusals_are_counted_with_their_reason(inside, admitted):
    heard = []
    gate = AccessControl(
        inside, admitted=admitted, refused=lambda why, who: heard.append((why, who))
    )
    ask(gate, "/docs")
    ask(gate)
    ask(gate, "/docs", client=None)
    assert heard == [("path", "192.0.2.9"), ("key", "192.0.2.9"), ("path", "unknown")]


def test_a_node_whose_key_is_taken_away_is_let_go_of_once(inside, admitted, node, tmp_path):
    gone = []
    gate = AccessControl(inside, admitted=admitted, enrol=lambda key, name: None, expel=gone.append)
    assert ask(gate, headers=signed(node))[0] == 200
    assert ask(gate, headers=signed(node) | {"flwr-signature": "%"})[0] == 401
    assert gone == []  # anybody can name a key
    (tmp_path / "nodes" / "edge.pub").unlink()
    keys.generate(tmp_path / "other.key", tmp_path / "nodes" / "other.pub")
    for _ in range(2):
        assert ask(gate, headers=signed(node))[0] == 401
    assert gone == [keys.public_bytes(node.public_key())]

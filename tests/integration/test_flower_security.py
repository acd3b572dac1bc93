"""TLS and node keys over loopback: everybody who should not take part is played, and refused."""

import shutil
import time
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest

pytest.importorskip("flwr")
import httpx
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.supercore.protobuf.constants import PROTOBUF_MEDIA_TYPE

from aeros_flower.executor.fleet_client import FleetClient, Lost, Unwelcome
from aeros_flower.http.access_control import AccessControl
from aeros_flower.http.server import listen
from aeros_flower.protocol import messages
from aeros_flower.security import certificates, keys
from aeros_flower.security.certificates import Authority
from aeros_flower.security.keys import Admitted
from aeros_flower.superlink.embedded import SAME_KEY, EmbeddedSuperLink

FLOWER = {"names": ("toy", "flower")}
TASK = ("experiment=null", "repository=files", "transformer=[blobs,even,scale]",
        "trainer=linear", "collector=mean", "controller=flower", "task.rounds=1")  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A CA, a server's certificate, and two nodes that are admitted."""
    made = Authority(tmp_path_factory.mktemp("security") / "aeros-certs")
    made.make([], days=1)
    made.node("edge-1")
    made.node("edge-2")
    return made


def open_link(home, certificate=True, admitted=True, gate=True):
    """Return a SuperLink as the controller opens it."""
    found = []

    def enrol(key, name):
        found[0].enrol(key, name)

    def expel(key):
        found[0].expel(key)

    def wrap(app):
        listed = Admitted(home.nodes, every=0) if admitted else None
        return AccessControl(app, admitted=listed, enrol=enrol, expel=expel)

    pair = (str(home.server), str(home.server_key)) if certificate else None
    found.append(EmbeddedSuperLink(listen("127.0.0.1", 0), pair, wrap if gate else None))
    return found[0]


@pytest.fixture(scope="module")
def link(home):
    opened = open_link(home)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def bare(home):
    """A SuperLink with TLS and nothing in front of it: what Flower offers by itself."""
    opened = open_link(home, gate=False)
    yield opened
    opened.close()


def paths(*prefixes):
    from flwr.supercore.protobuf.translation import PROTOBUF_REQUEST_TYPES as TYPES

    return sorted(path for _, path in TYPES if path.startswith(prefixes))


CLOSED = paths("/v1/control/", "/v1/runtime/")
FLEET = paths("/v1/fleet/")


def ask(home, link, path, content=b"", headers=()):
    """Send what a stranger who holds only the CA certificate can send."""
    import ssl

    trusted = ssl.create_default_context(cafile=home.ca)
    with httpx.Client(verify=trusted, timeout=60) as client:
        said = dict(headers) | {"content-type": PROTOBUF_MEDIA_TYPE}
        return client.post(f"https://{link.address}{path}", content=content, headers=said)


def signed(key):
    stamp = datetime.now(UTC).isoformat()
    made = key.sign(stamp.encode(), ec.ECDSA(hashes.SHA256()))
    return {
        "flwr-public-key": b64encode(keys.public_bytes(key.public_key())).decode(),
        "flwr-timestamp": stamp,
        "flwr-signature": b64encode(made).decode(),
    }


def a_node(public):
    from flwr.proto.control_pb2 import RegisterNodeRequest

    return RegisterNodeRequest(public_key=public).SerializeToString()


def test_flower_alone_lets_the_stranger_in(home, bare):
    """The hole is there: otherwise the tests below would show nothing."""
    public = keys.public_bytes(ec.generate_private_key(ec.SECP384R1()).public_key())
    assert ask(home, bare, "/v1/control/register-node", a_node(public)).status_code == 200
    assert ask(home, bare, "/v1/runtime/acquire-task").status_code != 404
    assert ask(home, bare, "/openapi.json").status_code == 405


@pytest.mark.parametrize("path", CLOSED)
def test_the_stranger_is_refused_at_control_and_runtime(home, link, path):
    public = keys.public_bytes(ec.generate_private_key(ec.SECP384R1()).public_key())
    for headers in ({}, signed(ec.generate_private_key(ec.SECP384R1()))):
        answer = ask(home, link, path, a_node(public), headers)
        assert (answer.status_code, answer.content) == (404, b"")
        assert answer.headers.keys() <= {"content-length", "connection", "date"}


@pytest.mark.parametrize("path", CLOSED[:3])
def test_an_admitted_node_is_refused_there_too(home, link, path):
    headers = signed(keys.private(home.folder / "edge-1.key"))
    assert ask(home, link, path, headers=headers).status_code == 404


@pytest.mark.parametrize("path", FLEET)
def test_the_stranger_is_refused_by_the_fleet(home, link, path):
    from flwr.proto.fleet_pb2 import ActivateNodeRequest

    key = ec.generate_private_key(ec.SECP384R1())
    content = ActivateNodeRequest(
        public_key=keys.public_bytes(key.public_key()), heartbeat_interval=30
    ).SerializeToString()
    for headers in ({}, signed(key)):
        answer = ask(home, link, path, content, headers)
        assert (answer.status_code, answer.content) == (401, b"")
    assert link.nodes() == set()


def connect(home, link, name):
    secret = keys.private(home.folder / f"{name}.key")
    return FleetClient(
        link.address,
        root_certificates=home.ca.read_bytes(),
        authentication_keys=(secret, secret.public_key()),
    )


def test_an_admitted_node_takes_part(home, link):
    fleet = connect(home, link, "edge-1")
    try:
        message = link.push(fleet.number, messages.pack_note("prepare", {"config": {}}))
        asked = fleet.pull(30)
        fleet.push(messages.pack_note("prepared", {"name": "edge-1"}), asked, 0.1)
        ends = time.monotonic() + 60
        while not (answers := link.pull([message])) and time.monotonic() < ends:
            link.wait(0.2)
        assert messages.unpack_note(answers[0].content, "prepared")["name"] == "edge-1"
    finally:
        fleet.close()


def test_a_revoked_node_is_out_at_its_next_request(home, link):
    fleet = connect(home, link, "edge-2")
    try:
        assert fleet.pull(0.1) is None
        assert fleet.number in link.nodes()
        assert link.admitted(fleet.number) == "edge-2"
        gone = home.revoke("edge-2")
        with pytest.raises(Unwelcome):
            fleet.pull(0.1)
        assert fleet.number not in link.nodes()  # the round does not wait for it any more
        with pytest.raises(Unwelcome):
            connect(home, link, "edge-2")
    finally:
        fleet.close()
    home.admit("edge-2", gone)
    again = connect(home, link, "edge-2")
    try:
        assert again.pull(0.1) is None
        assert again.number in link.nodes()
    finally:
        again.close()


def test_two_executors_with_one_key_are_told_so_and_counted(home, link):
    first = connect(home, link, "edge-1")
    try:
        assert first.pull(0.1) is None
        for _ in range(2):
            with pytest.raises(Lost, match="two at a time need two keys"):
                connect(home, link, "edge-1")
        found, ends = [], time.monotonic() + 60
        while len(found) < 2 and time.monotonic() < ends:
            found += link.refusals()
            time.sleep(0.01)
        assert found == [("edge-1", SAME_KEY)] * 2
        assert link.refusals() == []
        assert first.pull(0.1) is None  # the first is as welcome as before
    finally:
        first.close()


def test_one_that_comes_again_between_two_looks_is_another_process(home, link):
    """With a key it keeps its number: what was on its way to it waited for ever."""
    first = connect(home, link, "edge-1")
    try:
        assert link.nodes() == {first.number}
        link._state.deactivate_node(first.number)  # missed, as Flower notes when it comes again
        again = connect(home, link, "edge-1")
        try:
            assert again.number == first.number
            assert link.nodes() == set()
            assert link.nodes() == {first.number}
        finally:
            again.close()
    finally:
        first.close()


# ---------------------------------------------------------------- what people are told


def told(command, *words, code):
    ended = command("executor", *map(str, words), **FLOWER)
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


def test_an_executor_with_an_unknown_key_is_told_so(home, link, command, tmp_path):
    keys.generate(tmp_path / "other.key", tmp_path / "other.pub")
    said = told(command, link.address, "--ca", home.ca, "--key", tmp_path / "other.key", code=1)
    assert "does not admit" in said
    assert "aeros certs admit NAME FILE.pub" in said


def test_an_executor_without_a_key_is_told_so(home, link, command):
    assert "does not admit" in told(command, link.address, "--ca", home.ca, code=1)


def test_an_executor_of_another_ca_is_told_so(link, command, tmp_path):
    other = Authority(tmp_path / "other")
    other.make([], days=1)
    said = told(command, link.address, "--ca", other.ca, code=2)
    assert "is not from a CA that this node trusts" in said


def test_a_plain_text_executor_is_told_so(link, command):
    said = told(command, link.address, "--insecure", code=2)
    assert "it wants TLS" in said


def test_an_executor_that_wants_tls_of_a_plain_controller_is_told_so(home, command):
    plain = open_link(home, certificate=False, admitted=False)
    try:
        assert "does not speak TLS" in told(command, plain.address, "--ca", home.ca, code=2)
    finally:
        plain.close()


def expired(home, monkeypatch):
    """Let the server's certificate of a CA be a day too old."""
    real = certificates._builder

    def old(subject, issuer, key, days):
        builder = real(subject, issuer, key, days)
        if days == 1:
            builder._not_valid_before -= timedelta(days=3)
            builder._not_valid_after -= timedelta(days=2)
        return builder

    with monkeypatch.context() as patch:
        patch.setattr(certificates, "_builder", old)
        home.make([], days=1)


def test_an_expired_certificate_is_named_to_executors(command, monkeypatch, tmp_path):
    old = Authority(tmp_path / "old")
    expired(old, monkeypatch)
    opened = open_link(old, admitted=False)
    try:
        said = told(command, opened.address, "--ca", old.ca, code=2)
        assert "has expired" in said
        assert "aeros certs renew" in said
    finally:
        opened.close()


# ---------------------------------------------------------------- the controller


def refused(aeros, *words):
    ended = aeros("run", *TASK, *map(str, words))
    assert ended.returncode == 2, ended.stdout + ended.stderr
    assert "Traceback" not in ended.stderr
    return ended.stderr


@pytest.fixture
def aeros(command):
    return lambda *words: command(*words, **FLOWER)


def test_a_port_beyond_this_machine_is_not_opened_unprotected(aeros, home):
    said = refused(aeros, "controller.host=0.0.0.0")
    assert "open to anybody" in said
    pair = (f"controller.certificate={home.server}", f"controller.key={home.server_key}")
    assert "open to anybody" in refused(aeros, "controller.host=0.0.0.0", *pair)


def test_an_expired_certificate_is_not_served(aeros, monkeypatch, tmp_path):
    old = Authority(tmp_path / "old")
    expired(old, monkeypatch)
    said = refused(
        aeros, f"controller.certificate={old.server}", f"controller.key={old.server_key}"
    )
    assert "expired on" in said
    assert "aeros certs renew" in said


def test_a_list_without_anybody_is_refused(aeros, home, tmp_path):
    said = refused(aeros, f"controller.admitted={tmp_path / 'nobody'}")
    assert "holds no key of a node" in said


def test_a_whole_task_over_tls(home, start, aeros, tmp_path):
    shutil.copytree(home.folder, tmp_path / "aeros-certs")
    words = (
        "controller.certificate=aeros-certs/server.pem",
        "controller.key=aeros-certs/server.key",
        "controller.admitted=aeros-certs/nodes",
        "controller.wait=300",
        "task.rounds=2",
    )
    with listen("127.0.0.1", 0) as door:
        port = door.getsockname()[1]
    node = ("--ca", "aeros-certs/ca.pem", "--key")
    start("executor", f"127.0.0.1:{port}", *node, "aeros-certs/edge-1.key", **FLOWER)
    other = ("aeros-certs/edge-2.key", "--name", "edge-1")  # calls itself what another is
    start("executor", f"127.0.0.1:{port}", *node, *other, **FLOWER)
    ended = aeros("run", *TASK, f"controller.port={port}", *words)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "FINISHED after 2 rounds" in ended.stdout
    assert "executor edge-1 takes part" in ended.stderr
    assert "came again" not in ended.stderr

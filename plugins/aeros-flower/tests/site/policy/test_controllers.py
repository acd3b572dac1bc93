"""Controllers by certificate, key, authority and address, over real TLS."""

import hashlib
import ssl
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aeros_core.errors import ConfigError
from aeros_flower.http.server import listen
from aeros_flower.security import probe
from aeros_flower.security.certificates import Authority
from aeros_flower.site.policy import controllers
from aeros_flower.site.policy.controllers import ControllerRule


@pytest.fixture(scope="module")
def homes(tmp_path_factory):
    """Two controllers whose certificates come from one CA, and one from another."""
    made = []
    for name in ("one", "other"):
        home = Authority(tmp_path_factory.mktemp(name) / "aeros-certs")
        home.make([], days=1)
        made.append(home)
    return made


@pytest.fixture
def served(homes):
    """A server of TLS that answers in HTTP, and its address."""
    home = homes[0]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.server, home.server_key)
    door = listen("127.0.0.1", 0)
    door.listen()
    got = []

    def answer():
        while True:
            try:
                line, _ = door.accept()
            except OSError:
                return
            try:
                with context.wrap_socket(line, server_side=True) as secure:
                    got.append(secure.recv(4096))
                    secure.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
            except OSError:
                continue

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield home, f"127.0.0.1:{door.getsockname()[1]}", got
    door.close()


def digest(data):
    return hashlib.sha256(data).hexdigest()


def fingerprints(home):
    leaf = x509.load_pem_x509_certificates(home.server.read_bytes())[0]
    key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ca = x509.load_pem_x509_certificate(home.ca.read_bytes())
    der = Encoding.DER
    return {"certificate": digest(leaf.public_bytes(der)), "key": digest(key),
            "ca": digest(ca.public_bytes(der))}  # fmt: skip


@pytest.mark.parametrize("kind", ["certificate", "key", "ca"])
def test_one_that_is_named_is_let_through_and_known(served, kind):
    home, address, _ = served
    found, seen = fingerprints(home), []
    allowed = (ControllerRule(kind, found[kind]),)
    context = controllers.context(home.ca.read_bytes(), allowed, address, seen.append)
    assert probe.greet(address, home.ca, insecure=False, context=context) == ""
    assert (seen[0].address, seen[0].certificate, seen[0].key) == (
        address, found["certificate"], found["key"],
    )  # fmt: skip
    assert found["ca"] in seen[0].authorities


@pytest.mark.parametrize("kind", ["certificate", "key", "ca", "address"])
def test_another_one_of_the_same_ca_is_refused_before_a_byte_is_sent(served, kind):
    home, address, got = served
    value = address if kind == "address" else "ab" * 32
    context = controllers.context(
        home.ca.read_bytes(), (ControllerRule(kind, value),), address, print
    )
    with pytest.raises(ConfigError, match="does not let the controller at") as refused:
        probe.greet(address, home.ca, insecure=False, context=context)
    assert f"sha256:{fingerprints(home)['certificate']}" in refused.value.hint
    assert got in ([], [b""])


def test_without_tls_a_controller_is_named_by_an_address_of_this_machine_alone():
    here = "127.0.0.1:9292"
    controllers.check_address((ControllerRule("address", here),), here, insecure=True)
    controllers.check_address((), here, insecure=True)
    with pytest.raises(ConfigError, match="does not let the controller at"):
        controllers.check_address((ControllerRule("address", "127.0.0.1:1"),), here, insecure=True)
    with pytest.raises(ConfigError, match="does not let the controller at"):
        controllers.check_address((ControllerRule("key", "ab" * 32),), here, insecure=True)
    with pytest.raises(ConfigError, match="does not tell who answers there"):
        controllers.check_address(
            (ControllerRule("address", "hall.example:9292"),), here, insecure=False
        )


def test_the_connection_of_messages_itself_is_looked_at(served):
    """Not only the greeting before it, which another one could have answered."""
    from aeros_flower.executor.fleet_client import FleetClient, Lost

    home, address, got = served
    context = controllers.context(
        home.ca.read_bytes(), (ControllerRule("key", "ab" * 32),), address, print
    )
    with pytest.raises(Lost):
        FleetClient(address, context=context)
    assert got in ([], [b""])

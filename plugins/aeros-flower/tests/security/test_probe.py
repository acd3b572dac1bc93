"""What a node is told of a SuperLink that it cannot or must not talk to."""

import socket
import ssl
import struct
import threading
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from aeros_core.errors import ConfigError
from aeros_flower.security import certificates, probe
from aeros_flower.security.certificates import Authority
from aeros_flower.superlink.remote import superlink


@pytest.fixture
def home(tmp_path):
    return Authority(tmp_path / "certs")


@pytest.fixture
def server():
    """A function that answers connections on loopback, with TLS or without; returns its port."""
    doors = []

    def start(context=None, status="200 OK", says=None):
        door = socket.create_server(("127.0.0.1", 0))
        doors.append(door)

        def answer():
            while True:
                try:
                    line, _ = door.accept()
                except OSError:
                    return
                line.settimeout(10)
                try:
                    with line if context is None else context.wrap_socket(line, True) as spoken:
                        if says is not None:
                            says(spoken)
                            continue
                        spoken.recv(1000)
                        spoken.sendall(f"HTTP/1.1 {status}\r\n\r\n".encode())
                except OSError:
                    line.close()

        threading.Thread(target=answer, daemon=True).start()
        return door.getsockname()[1]

    yield start
    for door in doors:
        door.shutdown(socket.SHUT_RDWR)
        door.close()


def secure(home):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.server, home.server_key)
    return context


def made(home, *names, days=1):
    home.make(names, days=days)
    return secure(home)


def test_a_server_of_the_ca_is_trusted(home, server):
    port = server(made(home))
    assert probe.check(f"127.0.0.1:{port}", home.ca, insecure=False)
    assert probe.check(f"localhost:{port}", home.ca, insecure=False)


def test_nobody_there_is_no_mistake():
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
    assert not probe.check(f"127.0.0.1:{port}", None, insecure=True)
    assert not probe.check(f"127.0.0.1:{port}", None, insecure=False)


def test_another_ca_is_not_trusted(home, server, tmp_path):
    port = server(made(home))
    other = Authority(tmp_path / "other")
    other.make([], days=1)
    for ca in (other.ca, None):
        with pytest.raises(ConfigError, match=r"not from a CA that this node trusts.*\n.*\n.*--ca"):
            probe.check(f"127.0.0.1:{port}", ca, insecure=False)


def test_an_expired_certificate_is_named(home, server, monkeypatch):
    monkeypatch.setattr(certificates, "_SKEW", timedelta(days=3))
    real = certificates._builder

    def old(subject, issuer, key, days):
        builder = real(subject, issuer, key, days)
        if days == 1:
            builder._not_valid_after = builder._not_valid_before + timedelta(days=1)
        return builder

    monkeypatch.setattr(certificates, "_builder", old)
    port = server(made(home))
    with pytest.raises(ConfigError, match=r"has expired\n.*aeros certs renew"):
        probe.check(f"127.0.0.1:{port}", home.ca, insecure=False)


def test_a_certificate_of_another_host_is_named(home, server, monkeypatch):
    monkeypatch.setattr(certificates, "LOCAL", ())
    port = server(made(home, "other.example.org"))
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(ConfigError, match=rf"is not for {host}\n.*aeros certs renew {host}"):
            probe.check(f"{host}:{port}", home.ca, insecure=False)


def test_a_server_without_tls_is_named(home, server):
    home.make([], days=1)
    with pytest.raises(ConfigError, match=r"does not speak TLS.*\n.*\n.*--insecure"):
        probe.check(f"127.0.0.1:{server()}", home.ca, insecure=False)


def test_plain_text_to_a_server_with_tls_is_named(home, server):
    port = server(made(home))
    with pytest.raises(ConfigError, match=r"it wants TLS, or .*\n.*--ca FILE"):
        probe.check(f"127.0.0.1:{port}", None, insecure=True)


def test_plain_text_to_a_plain_server(server):
    assert probe.check(f"127.0.0.1:{server()}", None, insecure=True)


@pytest.mark.parametrize(
    ("status", "strange"),
    [("200 OK", False), ("404 Not Found", True), ("405 No", True), ("501 No", True),
     ("503 Ends", False), ("ho!", False)],
)  # fmt: skip
def test_who_does_not_know_of_health_is_no_superlink(server, status, strange):
    address = f"127.0.0.1:{server(status=status)}"
    assert probe.check(address, None, insecure=True) is not status.startswith("503")
    assert probe.is_stranger(address) is strange


def test_who_does_not_answer_may_be_ending():
    assert not probe.is_stranger("127.0.0.1:1")


def test_a_superlink_elsewhere_that_is_a_web_server_is_named(server):
    address = f"127.0.0.1:{server(status='404 Not Found')}"
    with pytest.raises(ConfigError, match=f"who answers at {address} speaks HTTP, and is no Sup"):
        superlink(address, None, insecure=True, fab=b"", wait=5.0, tell=print)


@pytest.mark.parametrize("content", [None, b"no certificate"])
def test_a_ca_that_is_none(tmp_path, content):
    if content is not None:
        (tmp_path / "ca.pem").write_bytes(content)
    with pytest.raises(ConfigError, match=r"the CA certificate .* cannot be read"):
        probe.check("127.0.0.1:9", tmp_path / "ca.pem", insecure=False)


@pytest.mark.parametrize("address", ["", "host", "host:", ":80", "host:0", "host:99999", "::1:80"])
def test_what_is_no_address(address):
    with pytest.raises(ConfigError, match="is no address of a SuperLink"):
        probe.check(address, None, insecure=True)


def test_why_nobody_answers():
    assert probe.silence("127.0.0.1:9") == "nobody answers at 127.0.0.1:9"
    assert probe.silence("no.such.host.invalid:9") == (
        "this machine knows no address of no.such.host.invalid"
    )


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, "the SuperLink answers 401 to GetNodes"),
        (503, "the SuperLink is ending, or answers 503 to GetNodes"),
        (404, "who answers is no SuperLink, or a gate lets nobody ask it: 404 to GetNodes"),
        (501, "who answers is no SuperLink, or a gate lets nobody ask it: 501 to GetNodes"),
    ],
)
def test_answers_that_are_none(status, said):
    assert probe.answered(status, "GetNodes") == said


def test_a_ca_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"the CA certificate .*ca.pem cannot be read: No such"):
        probe.authority(tmp_path / "ca.pem")


def reset(line):
    """End a connection with RST."""
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def heard(then):
    """Return what takes a greeting in, and does this."""

    def says(line):
        line.recv(1000)
        then(line)

    return says


def says(text):
    return heard(lambda line: line.sendall(text))


PROXIES = {
    "closes at once": lambda line: None,
    "closes when it is spoken to": heard(lambda line: None),
    "resets at once": reset,
    "resets when it is spoken to": heard(reset),
    "half an answer": says(b"HTTP/1."),
    "half a word": says(b"HT"),
    "502": says(b"HTTP/1.1 502 Bad Gateway\r\n\r\n<html>"),
    "503": says(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"),
    "504": says(b"HTTP/1.0 504 Gateway Timeout\r\n\r\n"),
    "says nothing": heard(lambda line: line.recv(1)),
}
"""How proxies and tunnels answer while the controller behind them is away."""


@pytest.mark.parametrize("proxy", PROXIES)
def test_a_proxy_whose_controller_is_away_counts_as_nobody(server, proxy):
    address = f"127.0.0.1:{server(says=PROXIES[proxy])}"
    why = probe.greet(address, None, insecure=True, seconds=0.5)
    assert address in why
    if proxy != "resets at once":  # that may come before the connection is made
        assert "nobody answers" not in why


@pytest.mark.parametrize("proxy", [name for name in PROXIES if name.startswith(("c", "r", "s"))])
def test_a_proxy_for_tls_whose_controller_is_away_counts_as_nobody(home, server, proxy):
    home.make([], days=1)
    address = f"127.0.0.1:{server(says=PROXIES[proxy])}"
    assert address in probe.greet(address, home.ca, insecure=False, seconds=0.5)


def test_a_server_that_hangs_up_on_tls_and_speaks_plain_text_is_named(home, server):
    def hangs_up(line):
        if (said := line.recv(1000)).startswith(b"GET"):
            line.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        assert said

    home.make([], days=1)
    with pytest.raises(ConfigError, match="does not speak TLS: it speaks plain HTTP"):
        probe.greet(f"127.0.0.1:{server(says=hangs_up)}", home.ca, insecure=False)


@pytest.mark.parametrize(
    ("first", "said"),
    [
        (b"SSH-2.0-OpenSSH_9.6\r\n", "it says 'SSH-2.0-Open'"),
        (b"220 mail.example.org ESMTP\r\n", "it says '220 mail.exa'"),
        (b"\0\0\x18\x04\0\0\0\0\0\0\0\x04", "it wants TLS, or speaks gRPC"),
        (b"\xff\xfe\xfd", "it wants TLS, or speaks gRPC"),
    ],
    ids=["ssh", "mail", "grpc", "bytes"],
)
@pytest.mark.parametrize("waits", [True, False])
def test_who_speaks_something_else_is_named(server, first, said, waits):
    speaks = says(first) if waits else lambda line: (line.sendall(first), line.recv(1000))
    with pytest.raises(ConfigError, match="does not speak plain HTTP") as refused:
        probe.greet(f"127.0.0.1:{server(says=speaks)}", None, insecure=True)
    assert said in refused.value.asked


def test_ssh_is_no_tls(home, server):
    home.make([], days=1)
    port = server(says=lambda line: line.sendall(b"SSH-2.0-OpenSSH_9.6\r\n"))
    with pytest.raises(ConfigError, match="does not speak TLS"):
        probe.greet(f"127.0.0.1:{port}", home.ca, insecure=False)


@pytest.mark.parametrize(("off", "waits"), [({"days": 40}, True), ({}, False)])
def test_a_certificate_is_not_called_expired_where_the_clock_is_wrong(
    home, server, monkeypatch, off, waits
):
    """A server that says another time than this machine's: the clock may be why."""
    monkeypatch.setattr(certificates, "_SKEW", timedelta(days=3))
    real = certificates._builder

    def old(subject, issuer, key, days):
        builder = real(subject, issuer, key, days)
        if days == 1:
            builder._not_valid_after = builder._not_valid_before + timedelta(days=1)
        return builder

    monkeypatch.setattr(certificates, "_builder", old)
    date = format_datetime(datetime.now(UTC) - timedelta(**off), usegmt=True)
    port = server(made(home), status=f"200 OK\r\nDate: {date}")
    if waits:
        why = probe.greet(f"127.0.0.1:{port}", home.ca, insecure=False)
        assert why.startswith("this machine's clock is 40 days ahead of the controller's")
    else:
        with pytest.raises(ConfigError, match="has expired"):
            probe.greet(f"127.0.0.1:{port}", home.ca, insecure=False)

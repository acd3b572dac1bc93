"""The development CA: what it signs, for whom, and for how long."""

import json
import ssl
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification

from aeros_core.cli import main
from aeros_core.errors import ConfigError
from aeros_flower.security import certificates, keys
from aeros_flower.security.certificates import Authority


@pytest.fixture
def home(tmp_path):
    return Authority(tmp_path / "certs")


def verified(home, subject):
    """Check the server's certificate as a client of cryptography's own verifier does."""
    ca = x509.load_pem_x509_certificate(home.ca.read_bytes())
    server = x509.load_pem_x509_certificate(home.server.read_bytes())
    builder = verification.PolicyBuilder().store(verification.Store([ca]))
    return builder.build_server_verifier(subject).verify(server, [])


def expire(monkeypatch, days):
    """Let whatever is made now end so many days from now; it began long before."""
    real = certificates._builder

    def built(subject, issuer, key, _):
        builder = real(subject, issuer, key, 1)
        now = builder._not_valid_before
        return x509.CertificateBuilder(
            builder._issuer_name, builder._subject_name, builder._public_key,
            builder._serial_number, now - timedelta(days=100), now + timedelta(days=days),
            builder._extensions,
        )  # fmt: skip

    monkeypatch.setattr(certificates, "_builder", built)


def test_a_certificate_is_for_the_names_asked_and_this_machine(home):
    home.make(["aeros.example.org", "192.0.2.7"], days=30)
    made = certificates.read(home.server)
    assert made.names == ("aeros.example.org", "192.0.2.7", "localhost", "127.0.0.1", "::1")
    assert made.days == 29
    verified(home, x509.DNSName("aeros.example.org"))
    with pytest.raises(verification.VerificationError):
        verified(home, x509.DNSName("other.example.org"))


def test_secrets_are_for_their_owner_alone(home):
    home.make([], days=1)
    home.node("edge-1")
    for secret in (home.ca_key, home.server_key, home.folder / "edge-1.key"):
        assert secret.stat().st_mode & 0o777 == 0o600
    assert home.folder.stat().st_mode & 0o777 == 0o700


def test_renewed_certificates_keep_names_and_ca(home):
    home.make(["192.0.2.7"], days=1)
    ca, first = home.ca.read_bytes(), home.server.read_bytes()
    home.make([], days=90, renew=True)
    assert home.ca.read_bytes() == ca
    assert home.server.read_bytes() != first
    assert certificates.read(home.server).days == 89
    assert "192.0.2.7" in certificates.read(home.server).names
    certificates.usable(home.server, home.server_key)


def test_nothing_is_replaced_unasked(home):
    home.make([], days=1)
    with pytest.raises(ConfigError, match=r"is there already\n.*aeros certs renew"):
        home.make([], days=1)


def test_nothing_is_renewed_that_is_not_there(home):
    with pytest.raises(ConfigError, match=r"is not there\n.*aeros certs make"):
        home.make([], days=1, renew=True)


@pytest.mark.parametrize("name", ["", " ", "a b", "https://a", "a:80", "user@a", "-a", "a=b"])
def test_what_is_no_host_is_refused(home, name):
    with pytest.raises(ConfigError, match=r"neither a host name nor an address"):
        home.make([name], days=1)


def test_no_time_is_refused(home):
    with pytest.raises(ConfigError, match=r"--days 0 is no time"):
        home.make([], days=0)


@pytest.mark.parametrize("name", ["", "../edge", ".edge", "a/b", "ca", "server", "a b"])
def test_names_of_nodes_are_names_of_files(home, name):
    for verb in (home.node, home.revoke, lambda n: home.admit(n, home.ca)):
        with pytest.raises(ConfigError, match=r"is no name of a node|is taken"):
            verb(name)


def test_a_node_is_admitted_and_revoked(home):
    _, listed = home.node("edge-1")
    assert set(keys.Admitted(home.nodes).names().values()) == {"edge-1"}
    assert home.revoke("edge-1").read_bytes()
    assert not listed.exists()
    with pytest.raises(ConfigError, match=r"no node 'edge-1' is admitted\n  exists: none"):
        home.revoke("edge-1")


def test_a_node_that_was_revoked_is_made_anew_with_another_key(home):
    home.node("edge-1")
    (old,) = keys.Admitted(home.nodes).names()
    with pytest.raises(ConfigError, match=r"is there already\n.*aeros certs revoke NAME first"):
        home.node("edge-1")
    home.revoke("edge-1")
    home.node("edge-1")
    assert old not in keys.Admitted(home.nodes).names()
    assert (home.revoked / "edge-1.key").stat().st_mode & 0o777 == 0o600


def test_a_node_that_made_its_own_key_is_admitted(home, tmp_path):
    public = ec.generate_private_key(ec.SECP384R1()).public_key()
    (tmp_path / "mine.pub").write_bytes(keys.public_bytes(public))
    home.admit("edge-2", tmp_path / "mine.pub")
    with pytest.raises(ConfigError, match="a node 'edge-2' is admitted already") as refused:
        home.admit("edge-2", tmp_path / "mine.pub")
    assert "next: aeros certs revoke edge-2, then this command again" in str(refused.value)
    assert keys.Admitted(home.nodes).names() == {keys.public_bytes(public): "edge-2"}


def test_a_key_that_is_not_the_certificates_is_refused(home):
    home.make([], days=1)
    with pytest.raises(ConfigError, match=r"is not the key of the certificate"):
        certificates.usable(home.server, home.ca_key)


def test_an_open_key_is_refused(home):
    home.make([], days=1)
    home.server_key.chmod(0o644)
    with pytest.raises(ConfigError, match=r"others may read the key"):
        certificates.usable(home.server, home.server_key)


def test_an_expired_certificate_is_refused_and_renewed(home, monkeypatch):
    with monkeypatch.context() as patch:
        expire(patch, days=-2)
        home.make([], days=1)
    with pytest.raises(ConfigError, match=r"expired on \d.*UTC\n.*aeros certs renew"):
        certificates.usable(home.server, home.server_key)
    assert certificates.read(home.server).days < 0


def test_a_certificate_of_tomorrow_is_refused(home, monkeypatch):
    monkeypatch.setattr(certificates, "_SKEW", timedelta(hours=-2))
    home.make([], days=1)
    with pytest.raises(ConfigError, match=r"is not valid before .*\n.*clock"):
        certificates.usable(home.server, home.server_key)


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----"])
def test_what_is_no_certificate_is_refused(tmp_path, content):
    path = tmp_path / "server.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=r"the certificate .* cannot be read"):
        certificates.read(path)


def test_openssl_takes_what_was_made(home):
    home.make([], days=1)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home.server, home.server_key)
    ssl.create_default_context(cafile=home.ca)


def test_the_command(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AEROS_PLUGINS", "flower")
    said = [
        _said(capsys, *words)
        for words in (["make", "192.0.2.7"], ["node", "edge-1"], ["node", "edge-2"],
                      ["revoke", "edge-2"], ["renew", "--days", "9"])
    ]  # fmt: skip
    assert "controller.certificate=aeros-certs/server.pem" in said[0]
    assert "edge-1.key is private" in said[1]
    shown = json.loads(_said(capsys, "show", "--json"))
    assert shown["admitted"] == ["edge-1"]
    assert shown["revoked"] == ["edge-2"]
    assert [row["days"] for row in shown["certificates"]] == [3649, 8]
    assert "admitted: edge-1" in _said(capsys, "show")


def _said(capsys, *words):
    assert main.main(["certs", *words]) == 0
    return capsys.readouterr().out


def test_the_command_of_an_empty_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main.main(["certs", "show"]) == 2
    assert "aeros-certs holds no CA\n  next: aeros certs make" in capsys.readouterr().err

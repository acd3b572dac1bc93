import hashlib
import json
import stat
import subprocess
from dataclasses import fields, replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given
from hypothesis import strategies as st

from aeros_algorithms.keys import ed25519 as keys_ed25519
from aeros_algorithms.wheels.signed_statement import Refused, canonical
from aeros_core.errors import ConfigError
from aeros_core.records import Algorithm

GOOD = Algorithm("toy-half", "1.0", "a" * 64, 10, "", "")


def pem(key):
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public(key):
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_private_key_is_its_owners_alone(owner):
    assert stat.S_IMODE(owner.file.stat().st_mode) == 0o600
    raw = owner.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    assert owner.id == hashlib.sha256(raw).hexdigest()


def test_what_is_there_is_not_overwritten(owner, tmp_path):
    before = owner.file.read_bytes()
    (tmp_path / "other.pub").touch()
    for name in ("owner", "other"):
        with pytest.raises(ConfigError, match="is there already"):
            keys_ed25519.generate(tmp_path / name)
    assert owner.file.read_bytes() == before
    assert not (tmp_path / "other").exists()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written: No such file"):
        keys_ed25519.generate(tmp_path / "nowhere/key")


def test_a_passphrase_closes_a_key_and_opens_it(tmp_path, monkeypatch):
    monkeypatch.setenv(keys_ed25519.PASSPHRASE, "a long one")
    keys_ed25519.generate(tmp_path / "key")
    assert b"ENCRYPTED" in (tmp_path / "key").read_bytes()
    keys_ed25519.private(tmp_path / "key")
    for wrong in ("a wrong one", ""):
        monkeypatch.setenv(keys_ed25519.PASSPHRASE, wrong)
        with pytest.raises(ConfigError, match="cannot be read"):
            keys_ed25519.private(tmp_path / "key")


def test_a_private_key_that_others_may_read(owner):
    owner.file.chmod(0o640)
    with pytest.raises(ConfigError, match=r"others may read the key .*\n  next: chmod 600"):
        keys_ed25519.private(owner.file)


@pytest.mark.parametrize("data", [b"", b"no key", pem(ec.generate_private_key(ec.SECP256R1()))])
def test_what_is_no_private_key(tmp_path, data):
    path = tmp_path / "key"
    path.write_bytes(data)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match=r"cannot be read|is not an Ed25519 key"):
        keys_ed25519.private(path)


def test_keys_are_known_by_what_they_are_not_by_their_file(owner, stranger, tmp_path):
    (tmp_path / "stranger.pub").rename(tmp_path / f"keys/{owner.id}.pub")
    assert set(keys_ed25519.trusted(tmp_path / "keys")) == {owner.id, stranger.id}


@pytest.mark.parametrize("data", [b"no key", public(ec.generate_private_key(ec.SECP256R1()))])
def test_a_trusted_key_that_is_none(owner, tmp_path, data):
    (tmp_path / "keys/other.pub").write_bytes(data)
    with pytest.raises(ConfigError, match=r"is no public key|is not an Ed25519 key"):
        keys_ed25519.trusted(tmp_path / "keys")


@pytest.mark.parametrize("which", ["keys", "keys/owner.pub"])
def test_keys_that_anybody_may_write(owner, tmp_path, which):
    (tmp_path / which).chmod(0o777)
    with pytest.raises(ConfigError, match="anybody may write"):
        keys_ed25519.trusted(tmp_path / "keys")


def test_no_key_to_trust(tmp_path):
    with pytest.raises(ConfigError, match="holds no key to trust"):
        keys_ed25519.trusted(tmp_path / "nowhere")


def test_the_bytes_that_are_signed_are_these(owner):
    """As the README spells them, so that any other program can sign and verify."""
    signed = owner.sign(b"wheel")
    said = {f.name: getattr(signed, f.name) for f in fields(signed) if f.name != "signature"}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"))
    assert canonical(signed) == b"aeros algorithm 1\n" + text.encode()
    owner.key.public_key().verify(bytes.fromhex(signed.signature), canonical(signed))


def test_openssl_agrees(owner, tmp_path):
    signed = owner.sign(b"wheel")
    (tmp_path / "statement").write_bytes(canonical(signed))
    (tmp_path / "signature").write_bytes(bytes.fromhex(signed.signature))
    words = ["pkeyutl", "-verify", "-pubin", "-inkey", "keys/owner.pub", "-rawin"]
    words += ["-in", "statement", "-sigfile", "signature"]
    try:
        done = subprocess.run(["openssl", *words], cwd=tmp_path, capture_output=True, text=True)
    except FileNotFoundError:
        pytest.skip("openssl is not installed")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "told",
    [
        {"name": "toy-other"}, {"version": "2.0"}, {"sha256": "b" * 64}, {"size": 6},
        {"signature": "00" * 64}, {"signature": "abc"}, {"signature": "zz" * 64},
    ],
    ids=str,
)  # fmt: skip
def test_a_statement_that_was_altered(owner, told):
    trusted = {owner.id: owner.key.public_key()}
    signed = owner.sign(b"wheel")
    keys_ed25519.check(signed, trusted)
    with pytest.raises(Refused, match="does not belong to it: it was altered, or forged"):
        keys_ed25519.check(replace(signed, **told), trusted)


def test_a_statement_without_a_signature(owner):
    with pytest.raises(Refused, match=r"toy-half:1.0 is not signed\n  next: aeros algorithms push"):
        keys_ed25519.check(
            replace(owner.sign(b""), signature=""), {owner.id: owner.key.public_key()}
        )


def test_a_key_that_is_not_trusted(owner, stranger):
    with pytest.raises(Refused, match=f"signed by the key {stranger.id}, which is not trusted"):
        keys_ed25519.check(stranger.sign(b""), {owner.id: owner.key.public_key()})


def test_a_stranger_who_claims_to_be_another(owner, stranger):
    claimed = replace(stranger.sign(b""), key=owner.id)
    with pytest.raises(Refused, match="altered, or forged"):
        keys_ed25519.check(claimed, {owner.id: owner.key.public_key()})


@pytest.mark.parametrize(
    "told",
    [
        {"name": "Toy"}, {"name": "../up"}, {"name": ""}, {"name": "a\n"}, {"version": "1/../2"},
        {"version": "1.0+local"}, {"sha256": "A" * 64}, {"sha256": None}, {"key": "k"},
        {"size": -1}, {"size": True}, {"size": "1"},
    ],
    ids=str,
)  # fmt: skip
def test_a_statement_of_another_form_is_never_verified(told):
    with pytest.raises(Refused, match="cannot be the"):
        canonical(replace(replace(GOOD, key="b" * 64), **told))


KEY = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32))
SIGNED = keys_ed25519.sign(GOOD, KEY)


@given(st.integers(0, 511))
def test_any_flipped_bit_of_a_signature_is_refused(bit):
    flipped = bytearray.fromhex(SIGNED.signature)
    flipped[bit // 8] ^= 1 << bit % 8
    with pytest.raises(Refused, match="altered, or forged"):
        keys_ed25519.check(replace(SIGNED, signature=flipped.hex()), {SIGNED.key: KEY.public_key()})


whatever = st.none() | st.integers() | st.text(max_size=80) | st.binary(max_size=8) | st.floats()


@given(name=whatever, version=whatever, sha256=whatever, size=whatever, key=whatever)
def test_a_statement_has_one_spelling_or_none(name, version, sha256, size, key):
    """What is signed can be read back, so that no two statements share their bytes."""
    algorithm = Algorithm(name, version, sha256, size, key, "")
    try:
        said = canonical(algorithm)
    except Refused:
        return
    head, _, body = said.partition(b"\n")
    assert head == b"aeros algorithm 1"
    assert json.loads(body) == {f.name: getattr(algorithm, f.name) for f in fields(algorithm)
                                if f.name != "signature"}  # fmt: skip

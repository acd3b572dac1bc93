"""Keys of nodes: who may read them, who is admitted, and who no longer is."""

import argparse
import importlib
import os

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from flwr.supercore.primitives import asymmetric

from aeros_core.errors import ConfigError
from aeros_flower.security import keys


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "nodes").mkdir()
    return tmp_path / "nodes"


def listed(folder, name, curve=ec.SECP384R1):
    pem = keys.public_bytes(ec.generate_private_key(curve()).public_key())
    keys.write(folder / f"{name}.pub", pem, 0o644)
    return pem


def test_a_private_key_is_for_its_owners_eyes_alone(tmp_path, folder):
    keys.generate(tmp_path / "edge.key", folder / "edge.pub")
    assert (tmp_path / "edge.key").stat().st_mode & 0o777 == 0o600
    keys.private(tmp_path / "edge.key")


def test_keys_are_what_flower_reads(tmp_path, folder):
    keys.generate(tmp_path / "edge.key", folder / "edge.pub")
    parsed = argparse.Namespace(
        auth_supernode_private_key=str(tmp_path / "edge.key"), auth_supernode_public_key=None
    )
    supernode = importlib.import_module("flwr.supernode.cli.flower_supernode")
    private, _ = supernode._try_setup_client_authentication(parsed)
    public = asymmetric.public_key_to_bytes(private.public_key())
    assert public == (folder / "edge.pub").read_bytes()
    assert keys.Admitted(folder).names() == {public: "edge"}


def test_a_key_in_pkcs8_is_read_too(tmp_path):
    key = ec.generate_private_key(ec.SECP384R1())
    keys.write(tmp_path / "edge.key", keys.secret_bytes(key), 0o600)
    assert keys.private(tmp_path / "edge.key").private_numbers() == key.private_numbers()


def test_a_key_is_never_written_over(tmp_path, folder):
    keys.generate(tmp_path / "edge.key", folder / "edge.pub")
    with pytest.raises(ConfigError, match=r"is there already"):
        keys.generate(tmp_path / "edge.key", folder / "other.pub")
    with pytest.raises(ConfigError, match=r"is there already"):
        keys.generate(tmp_path / "other.key", folder / "edge.pub")
    with pytest.raises(ConfigError, match=r"cannot be written: File exists"):
        keys.write(folder / "edge.pub", b"", 0o644)


def test_a_key_that_others_may_read_is_refused(tmp_path, folder):
    keys.generate(tmp_path / "edge.key", folder / "edge.pub")
    (tmp_path / "edge.key").chmod(0o640)
    with pytest.raises(ConfigError, match=r"others may read the key .*\n.*chmod 600"):
        keys.private(tmp_path / "edge.key")


OTHER = keys.secret_bytes(ec.generate_private_key(ec.SECP256R1()))


@pytest.mark.parametrize("content", [b"", b"no key", OTHER])
def test_what_is_no_private_key_of_a_node_is_refused(tmp_path, content):
    keys.write(tmp_path / "edge.key", content, 0o600)
    with pytest.raises(ConfigError, match=r"cannot be read|is not a P-384 key"):
        keys.private(tmp_path / "edge.key")


def test_a_private_key_that_is_not_there(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read: No such file"):
        keys.private(tmp_path / "none.key")


def test_nobody_admitted_is_a_mistake(folder):
    with pytest.raises(ConfigError, match=r"holds no key of a node.*\n.*\n.*aeros certs node"):
        keys.Admitted(folder)
    with pytest.raises(ConfigError, match=r"holds no key of a node"):
        keys.Admitted(folder / "absent")


def test_a_list_that_anybody_may_write_is_refused(folder):
    listed(folder, "edge")
    folder.chmod(0o777)
    with pytest.raises(ConfigError, match=r"anybody may write"):
        keys.Admitted(folder)


@pytest.mark.parametrize("curve", [ec.SECP256R1, ec.SECP521R1])
def test_other_curves_are_not_admitted(folder, curve):
    listed(folder, "edge", curve)
    with pytest.raises(ConfigError, match=r"is not a P-384 key"):
        keys.Admitted(folder)


def test_what_is_no_public_key_is_named(folder):
    (folder / "edge.pub").write_bytes(b"no key")
    with pytest.raises(ConfigError, match=r"edge.pub is no public key"):
        keys.Admitted(folder)


def test_nodes_come_and_go_while_a_task_runs(folder):
    first = listed(folder, "one")
    admitted = keys.Admitted(folder, every=0)
    second = listed(folder, "two")
    assert admitted.names() == {first: "one", second: "two"}
    assert admitted.key(second) is not None
    (folder / "one.pub").unlink()
    assert admitted.key(first) is None
    (folder / "two.pub").unlink()
    assert admitted.names() == {}


def test_a_damaged_file_admits_nobody_and_keeps_nobody(folder):
    first, second = listed(folder, "one"), listed(folder, "two")
    admitted = keys.Admitted(folder, every=0)
    (folder / "new.pub").write_bytes(b"half a k")
    (folder / "two.pub").unlink()
    assert admitted.names() == {first: "one"}
    assert admitted.key(second) is None
    (folder / "new.pub").unlink()
    assert admitted.names() == {first: "one"}


def test_the_folder_is_not_read_at_every_request(folder, monkeypatch):
    admitted = keys.Admitted(folder_with(folder), every=1000)
    monkeypatch.setattr(os, "scandir", None)
    assert len(admitted.names()) == 1


def folder_with(folder):
    listed(folder, "one")
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda pem: b"\xef\xbb\xbf" + pem,
        lambda pem: b"expires: 2027-12-31\n" + pem,
        lambda pem: pem + b"expires: 2020-12-31\n",
        lambda pem: pem + pem,
        lambda pem: pem.replace(b"\n", b"\r\n"),
        lambda pem: pem.replace(b"\n", b"\n\t", 1),
        lambda pem: pem + b"\n",
        lambda pem: b"# the node in hall 3\n" + pem,
        lambda pem: pem.replace(b"\n", b" \n", 1),
    ],
)
def test_a_file_that_holds_more_than_a_key_is_refused(folder, change):
    pem = keys.public_bytes(ec.generate_private_key(ec.SECP384R1()).public_key())
    (folder / "a.pub").write_bytes(pem)
    assert keys.Admitted(folder).names() == {pem: "a"}
    (folder / "a.pub").write_bytes(change(pem))
    with pytest.raises(ConfigError, match=r"a\.pub (holds more than a|is no) public key"):
        keys.Admitted(folder)


def test_a_key_that_two_files_hold_has_no_name(folder):
    pem = keys.public_bytes(ec.generate_private_key(ec.SECP384R1()).public_key())
    for name in ("a", "b"):
        (folder / f"{name}.pub").write_bytes(pem)
    with pytest.raises(ConfigError, match=r"b\.pub holds the key of a\.pub: a key has one name"):
        keys.Admitted(folder)

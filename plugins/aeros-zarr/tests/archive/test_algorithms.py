import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from endpoints import repository

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.records import Algorithm
from aeros_core.roles.repository import SupportsAlgorithms

pytestmark = pytest.mark.usefixtures("alone")

WHEELS = [b"first", b"second", b"", np.arange(70_000, dtype="<u4").tobytes()]


def algorithm(wheel, version="1.0", name="my-rule"):
    return Algorithm(name, version, hashlib.sha256(wheel).hexdigest(), len(wheel), "k" * 64, "ab")


@pytest.fixture
def store(examples, tmp_path):
    return examples.store(tmp_path / "store")


@pytest.mark.parametrize("wheel", WHEELS, ids=len)
def test_what_is_stored_is_delivered(store, examples, tmp_path, wheel):
    assert isinstance(store, SupportsAlgorithms)
    store.store_algorithm(algorithm(wheel), wheel)
    again = examples.store(tmp_path / "store")
    assert again.algorithm("my-rule", "1.0") == (algorithm(wheel), wheel)
    assert again.algorithms() == [algorithm(wheel)]
    assert set(again.verify().values()) == {""}


def test_versions_are_listed_in_their_order(store):
    for version in ("1.10", "1.9", "1.9rc1", "2.0"):
        store.store_algorithm(algorithm(b"same", version), b"same")
    store.store_algorithm(algorithm(b"same", name="a"), b"same")
    assert [a.version for a in store.algorithms("my-rule")] == ["1.9rc1", "1.9", "1.10", "2.0"]
    assert [a.name for a in store.algorithms()] == ["a", *["my-rule"] * 4]
    assert store.algorithms("nobody") == []


def test_the_same_version_once_more_changes_nothing(store, tmp_path):
    store.store_algorithm(algorithm(b"first"), b"first")
    before = (tmp_path / "store/algorithms/my-rule/1.0.json").read_bytes()
    store.store_algorithm(algorithm(b"first"), b"first")
    assert (tmp_path / "store/algorithms/my-rule/1.0.json").read_bytes() == before


@pytest.mark.parametrize(
    ("other", "wheel"),
    [
        (algorithm(b"second"), b"second"),
        (replace(algorithm(b"first"), signature="cd"), b"first"),
        (replace(algorithm(b"first"), key="l" * 64), b"first"),
    ],
    ids=["content", "signature", "key"],
)
def test_a_version_is_never_changed(store, other, wheel):
    store.store_algorithm(algorithm(b"first"), b"first")
    with pytest.raises(RepositoryError, match=r"my-rule:1.0 is already stored with different"):
        store.store_algorithm(other, wheel)
    assert store.algorithm("my-rule", "1.0") == (algorithm(b"first"), b"first")


@pytest.mark.parametrize("told", [{"sha256": "0" * 64}, {"size": 4}], ids=str)
def test_a_wheel_that_its_statement_does_not_name_is_not_stored(store, tmp_path, told):
    with pytest.raises(RepositoryError, match="does not match its statement"):
        store.store_algorithm(replace(algorithm(b"first"), **told), b"first")
    assert not (tmp_path / "store/algorithms").exists()


@pytest.mark.parametrize(
    ("name", "version", "text"),
    [
        ("nobody", "1.0", "algorithm nobody:1.0 is not stored\n  exists: name my-rule"),
        ("my-rule", "2.0", "algorithm my-rule:2.0 is not stored\n  exists: version 1.0"),
    ],
)
def test_what_does_not_exist(store, name, version, text):
    store.store_algorithm(algorithm(b"first"), b"first")
    with pytest.raises(RepositoryError, match=re.escape(text)):
        store.algorithm(name, version)


@pytest.mark.parametrize(("name", "version"), [("../up", "1.0"), ("a", "../1"), ("a", "1+b")])
def test_names_that_lead_elsewhere(store, tmp_path, name, version):
    with pytest.raises(ConfigError, match="is not a valid name of a"):
        store.algorithm(name, version)
    with pytest.raises(ConfigError, match="is not a valid name of a"):
        store.store_algorithm(algorithm(b"first", version, name), b"first")
    assert [p.name for p in tmp_path.rglob("*.json")] in ([], ["format.json"])


def test_a_flipped_bit_in_a_wheel_is_found_and_named(store, tmp_path):
    store.store_algorithm(algorithm(b"first"), b"first")
    [chunk] = (tmp_path / "store/blobs").glob("*/c.0")
    chunk.write_bytes(b"firsu")
    with pytest.raises(RepositoryError, match=re.escape(str(chunk))):
        store.algorithm("my-rule", "1.0")
    assert [file for file, what in store.verify().items() if what] == [str(chunk)]
    store.store_algorithm(algorithm(b"first"), b"first")
    assert store.algorithm("my-rule", "1.0")[1] == b"first"


def test_a_damaged_record_is_left_out_and_nothing_is_collected(store, tmp_path, caplog):
    store.store_algorithm(algorithm(b"first"), b"first")
    record = tmp_path / "store/algorithms/my-rule/1.0.json"
    record.write_bytes(record.read_bytes().replace(b"my-rule", b"my-role"))
    assert store.algorithms() == []
    assert "algorithm my-rule:1.0 is left out" in caplog.text
    with pytest.raises(RepositoryError, match="is damaged"):
        store.collect(-10)
    assert len(list((tmp_path / "store/blobs").iterdir())) == 1


def test_collecting_spares_the_wheels_that_are_named(store, examples):
    store.store_algorithm(algorithm(b"first"), b"first")
    store.publish(examples.model())
    assert store.collect(-10) == {}
    assert store.algorithm("my-rule", "1.0")[1] == b"first"
    assert store.model("model").name == "model"


def test_a_bucket_keeps_them_too(s3, tmp_path):
    first = repository(s3, tmp_path / "a")
    for version, wheel in zip(("1.0", "2.0"), (b"first", WHEELS[-1]), strict=True):
        first.store_algorithm(algorithm(wheel, version), wheel)
    with pytest.raises(RepositoryError, match="is already stored"):
        first.store_algorithm(algorithm(b"other"), b"other")
    again = repository(s3, tmp_path / "a")
    assert again.algorithms() == [algorithm(b"first"), algorithm(WHEELS[-1], "2.0")]
    assert again.algorithm("my-rule", "2.0")[1] == WHEELS[-1]
    assert set(again.verify().values()) == {""}

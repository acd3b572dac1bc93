"""The repository in a bucket, on a real endpoint; what it does on a disk is tested there too."""

import inspect
from dataclasses import fields
from pathlib import Path

import endpoints
import pytest
from endpoints import repository

import aeros_zarr
from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.testing.repository import RepositoryTests
from aeros_zarr.format.manifest import dump
from aeros_zarr.s3 import S3Repository


class TestBucket(RepositoryTests):
    @pytest.fixture(autouse=True, scope="class")
    @classmethod
    def _endpoint(cls, s3):
        cls.url = s3

    def make(self, path: Path) -> S3Repository:
        return repository(self.url, path)


def test_each_option_is_an_argument():
    options = [field.name for field in fields(aeros_zarr.S3)]
    parameters = inspect.signature(S3Repository).parameters.values()
    assert options == ["_target_", *(parameter.name for parameter in parameters)]
    assert all(parameter.default is parameter.empty for parameter in parameters)
    assert aeros_zarr.S3._target_ == "aeros_zarr.s3.S3Repository"


def test_the_keys_are_those_of_the_folder(examples, s3, tmp_path):
    both = examples.store(tmp_path / "disk"), repository(s3, tmp_path)
    for store in both:
        store.begin(examples.run())
        for number in (1, 2, 3):
            store.commit("a", examples.checkpoint(number))
        store.publish(examples.model())
        store.tag("model", "best", 1)
    files = [p for p in (tmp_path / "disk").rglob("*") if p.is_file()]
    on_disk = {str(p.relative_to(tmp_path / "disk")): p.read_bytes() for p in files}
    bucket = both[1]._store
    listed = set(bucket._objects.below(""))
    assert listed == set(on_disk)
    same = [key for key in on_disk if "models/model/1.json" not in key]  # it tells the time
    assert {key: bucket.read(key) for key in same} == {key: on_disk[key] for key in same}


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (
            {"endpoint": "minio:9000"},
            "repository.endpoint must be an http:// or https:// address, got minio:9000\n"
            "  next: for instance repository.endpoint=https://minio.example.org:9000;"
            " empty for AWS",
        ),
        (
            {"bucket": "A/b"},
            "repository.bucket=A/b is not a valid name of a bucket\n"
            "  exists: 3 to 63 lower-case letters, digits, '.' and '-'\n"
            "  next: repository.bucket=<an existing bucket>",
        ),
        *(
            (
                {"prefix": prefix},
                f"repository.prefix={prefix} is not a valid key prefix\n"
                "  exists: names separated by '/', none of them '.' or '..'\n"
                "  next: for instance repository.prefix=team/models; empty for the whole bucket",
            )
            for prefix in ("../x", "a/./b", "a//b", "a\nb")
        ),
        (
            {"retries": -1},
            "repository.retries must be at least 0, got -1",
        ),
        (
            {"timeout": 0.0},
            "repository.timeout must be above 0 seconds, got 0.0",
        ),
        ({"spool": ""}, "repository.spool is empty\n  next: repository.spool=aeros-spool"),
        (
            {"keep": 0},
            "repository.keep must be at least 1, got 0\n"
            "  next: repository.keep=1 keeps only the last round",
        ),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_cannot_be_is_told_before_anything_is_sent(monkeypatch, tmp_path, options, text):
    for name in endpoints.KEYS:
        monkeypatch.setenv(name, "any")
    with pytest.raises(ConfigError) as caught:
        repository("http://127.0.0.1:1", tmp_path, **options)
    assert str(caught.value) == text


def test_credentials_come_from_the_environment_alone(monkeypatch, tmp_path):
    for name in endpoints.KEYS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError) as caught:
        repository("http://127.0.0.1:1", tmp_path)
    assert str(caught.value) == (
        "repository=s3 finds no credentials in the environment\n"
        "  exists: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN too, if there"
        " is one), or the variables that AWS sets in its containers\n"
        "  next: export AWS_ACCESS_KEY_ID=… AWS_SECRET_ACCESS_KEY=…"
    )


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("AWS_ACCESS_KEY_ID", "InvalidAccessKeyId"),
        ("AWS_SECRET_ACCESS_KEY", "SignatureDoesNotMatch"),
    ],
)
def test_wrong_keys_are_refused(s3, monkeypatch, tmp_path, name, code):
    monkeypatch.setenv(name, "wrong")
    with pytest.raises(RepositoryError) as caught:
        repository(s3, tmp_path)
    said = str(caught.value)
    assert "could not be opened in s3://aeros-test/tests/" in said
    assert f": the endpoint refuses these credentials: {code}, " in said
    assert said.endswith(
        "\n  next: check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and their permissions"
    )
    assert len(said) < 400


def test_a_bucket_that_is_not_there(s3, tmp_path):
    with pytest.raises(RepositoryError) as caught:
        repository(s3, tmp_path, bucket="nowhere", prefix="")
    assert str(caught.value) == (
        "the repository could not be opened in s3://nowhere: the bucket of s3://nowhere does"
        " not exist\n  next: create it, or repository.bucket=<an existing bucket>"
    )


def test_an_endpoint_that_is_not_there(s3, tmp_path):
    with pytest.raises(RepositoryError) as caught:
        repository("http://127.0.0.1:1", tmp_path, prefix="", retries=1)
    assert str(caught.value) == (
        "the repository could not be opened in s3://aeros-test: the endpoint failed:"
        " http://127.0.0.1:1: Connection refused (after 1 retry)\n"
        "  next: check repository.endpoint and try again; a run continues with"
        " task.resume=true"
    )


def test_a_bucket_of_a_newer_format(s3, tmp_path, examples):
    store = repository(s3, tmp_path)
    store._store.replace(
        "format.json", dump("repository", {}).replace(b'"format":2', b'"format":3')
    )
    with pytest.raises(RepositoryError, match="was written in format 3 by a newer aeros-zarr"):
        repository(s3, tmp_path)


def test_what_changed_or_is_missing_is_named(s3, tmp_path, examples):
    store = repository(s3, tmp_path)
    store.publish(examples.model(seed=1))
    [blob] = store._store.names("blobs")
    store._store.replace(f"blobs/{blob}/c.0", bytes(2800))
    place = store._store.location(f"blobs/{blob}")
    wrong = {k: v for k, v in store.verify().items() if v}
    assert wrong == {f"{place}/c.0": "its SHA-256 is not the one it was stored with"}
    with pytest.raises(RepositoryError, match=r"c\.0 is damaged"):
        repository(s3, tmp_path).model("model")
    store._store.remove(f"blobs/{blob}")
    wrong = {k: v for k, v in store.verify().items() if v}
    assert wrong == {f"{place}/zarr.json": "it is missing"}
    assert store.publish(examples.model(seed=1)).version == 2
    assert set(store.verify().values()) == {""}


# ---------------------------------------------------------------- gc


def test_only_what_nothing_names_is_collected(s3, tmp_path, examples, monkeypatch):
    store = repository(s3, tmp_path)
    store.publish(examples.model(seed=1))
    stored = {"a": (examples.parameters(2).vector, {})}
    [digest] = store._blobs.put("blobs", stored).values()
    assert store.collect(3600.0) == {}
    assert list(store.collect(-5.0)) == [store._store.location(f"blobs/{digest}")]
    assert store._store.names(f"blobs/{digest}") == []
    assert set(store.verify().values()) == {""}
    assert store.model("model").parameters.digest == examples.parameters(1).digest


def test_an_upload_that_was_never_finished_is_collected(s3, tmp_path, examples):
    store = repository(s3, tmp_path)
    digest = "f" * 64
    store._marker.set()
    store._store.replace(f"blobs/{digest}/c.0", b"half")
    assert store.collect(3600.0) == {}
    assert store.collect(-5.0) == {store._store.location(f"blobs/{digest}"): 4}


def test_what_is_collected_while_it_is_published_is_uploaded_again(
    s3, tmp_path, examples, monkeypatch
):
    store = repository(s3, tmp_path)
    create = store._store.create

    def collected_before(key, data):
        repository(s3, tmp_path).collect(-5.0)
        return create(key, data)

    monkeypatch.setattr(store._store, "create", collected_before)
    store.publish(examples.model(seed=1))
    assert set(store.verify().values()) == {""}

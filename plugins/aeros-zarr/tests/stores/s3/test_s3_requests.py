"""How many requests each thing that is done in a bucket takes, one by one, so that none is added
unnoticed: each costs a round trip to the endpoint.
"""

import re
from urllib.parse import parse_qs, urlsplit

import pytest
from endpoints import BUCKET, repository

from aeros_core.results import Result, Status

UPLOADED = ["GET blobs/*/zarr.json", "PUT blobs/*/c.0", "PUT blobs/*/zarr.json"]
"""Of a new blob: whether it is there, and its files."""

PROBED = ["PUT tmp/probe", "PUT tmp/probe", "POST delete"]
"""Whether the endpoint keeps conditions, once for each repository that is opened."""

NUMBERED = ["PUT models/model/N.json", "HEAD blobs/*/zarr.json", "LIST models/model/tags"]
"""Of a version: its record, whether what it names is still there, and what points to it."""


@pytest.fixture
def counted(faulty, tmp_path):
    """Return a function that opens the repository, and one that tells the requests of a call."""

    def requests(call):
        faulty.seen.clear()
        call()
        return [_said(method, path) for method, path in faulty.seen]

    return lambda: repository(faulty.url, tmp_path), requests


def _said(method, path):
    """Return for example ``LIST models`` or ``GET blobs/*/zarr.json``."""
    address = urlsplit(path)
    asked = parse_qs(address.query)
    if "delete" in parse_qs(address.query, keep_blank_values=True):
        return "POST delete"
    key = asked.get("prefix", [address.path.removeprefix(f"/{BUCKET}/")])[0]
    key = re.sub(r"^tests/[0-9a-f]{12}/?", "", key).rstrip("/")
    key = re.sub(r"[0-9a-f]{64}", "*", key).replace("tmp/aeros-probe-", "tmp/probe-")
    key = re.sub(r"(?<=probe)-[0-9a-f]{16}", "", key)
    key = re.sub(r"(?<=/)[0-9]+(?=\.json)", "N", key)
    return f"LIST {key}".rstrip() if "list-type" in asked else f"{method} {key}"


def test_of_the_first_version_in_an_empty_place(counted, examples):
    opened, requests = counted
    store = opened()
    assert requests(lambda: store.publish(examples.model())) == [
        "LIST", "PUT format.json",  # a place of others is refused before anything is written
        "LIST models/model", "LIST models",  # is the name new, and like another one but for case
        *UPLOADED,
        "LIST models/model",  # which number is the next one, now that all is uploaded
        *PROBED, *NUMBERED,
    ]  # fmt: skip


def test_of_the_second_version_and_of_the_tenth(counted, examples):
    opened, requests = counted
    store = opened()
    store.publish(examples.model())
    expected = ["LIST models/model", "GET models/model/N.json", *UPLOADED, "LIST models/model"]
    for seed in range(1, 10):
        asked = requests(lambda seed=seed: store.publish(examples.model(seed=seed)))
        assert asked == [*expected, *NUMBERED]


def test_of_a_version_that_another_process_goes_on_with(counted, examples):
    opened, requests = counted
    opened().publish(examples.model())
    assert requests(opened) == ["GET format.json"]
    store = opened()
    assert requests(lambda: store.publish(examples.model(seed=1))) == [
        "LIST models/model", "GET models/model/N.json",
        "GET blobs/*/zarr.json",  # what the last version holds is not stored again
        *UPLOADED, "LIST models/model", *PROBED, *NUMBERED,
    ]  # fmt: skip


def test_of_the_first_version_of_another_name(counted, examples):
    opened, requests = counted
    store = opened()
    store.publish(examples.model("other", seed=1))
    assert requests(lambda: store.publish(examples.model())) == [
        "LIST models/model", "LIST models", *UPLOADED, "LIST models/model", *NUMBERED,
    ]  # fmt: skip


def test_of_a_version_with_the_same_parameters(counted, examples):
    opened, requests = counted
    store = opened()
    store.publish(examples.model())
    assert requests(lambda: store.publish(examples.model())) == [
        "LIST models/model", "GET models/model/N.json",
        "GET blobs/*/zarr.json", "PUT blobs/*/zarr.json",  # it counts as written now
        "GET blobs/*/zarr.json",
        "LIST models/model", *NUMBERED,
    ]  # fmt: skip


def test_of_a_list_and_of_a_model(counted, examples):
    opened, requests = counted
    for seed in range(2):
        opened().publish(examples.model(seed=seed))
    store = opened()
    assert requests(lambda: store.models("model")) == [
        "LIST models/model", "LIST models/model/tags", "GET models/model/index/N.json",
        "GET models/model/N.json", "GET models/model/N.json",
    ]  # fmt: skip
    read = ["GET models/model/N.json", "GET blobs/*/zarr.json", "GET blobs/*/c.0"]
    assert requests(lambda: store.model("model", 1)) == read
    assert requests(lambda: store.model("model")) == ["LIST models/model", *read]


def test_of_a_run(counted, examples):
    opened, requests = counted
    opened().publish(examples.model())
    store = opened()
    assert requests(lambda: store.begin(examples.run())) == [
        "LIST models", "LIST runs",  # names like the task's and the run's but for case
        "LIST tmp", *PROBED, "PUT runs/a/run.json",
    ]  # fmt: skip
    uploaded = [each.replace("blobs", "runs/a/blobs") for each in UPLOADED]
    named = ["PUT runs/a/rounds/N.json", "HEAD runs/a/blobs/*/zarr.json"]
    asked = [requests(lambda n=n: store.commit("a", examples.checkpoint(n))) for n in (1, 2, 3)]
    assert asked[0] == ["HEAD runs/a/run.json", "LIST runs/a/rounds", *uploaded, *named]
    again = ["HEAD runs/a/run.json", "HEAD runs/a/rounds/N.json", *uploaded, *named]
    assert asked[1] == again
    removed = ["LIST runs/a/blobs/*", "POST delete", "POST delete"]
    assert asked[2] == [*again, *removed]
    result = Result("task", next(iter(Status)), 3, {}, {}, 1.0, 0, 0, {})
    assert requests(lambda: store.finish("a", result)) == [
        "HEAD runs/a/run.json", "PUT runs/a/result.json",
    ]  # fmt: skip
    assert requests(lambda: store.latest("a")) == [
        "HEAD runs/a/run.json", "LIST runs/a/rounds", "GET runs/a/rounds/N.json",
        "GET runs/a/blobs/*/zarr.json", "GET runs/a/blobs/*/c.0",
    ]  # fmt: skip


def test_of_holding_a_run(counted, examples, monkeypatch):
    monkeypatch.setattr("aeros_zarr.stores.lease.BEAT", 3600.0)  # no heartbeat meanwhile
    opened, requests = counted
    store = opened()
    store.begin(examples.run())
    assert requests(lambda: store.acquire("a")) == [
        "LIST runs/a/lock", "PUT runs/a/lock/N.json",
        "HEAD runs/a/run.json", "GET runs/a/result.json",  # what waits in the spool is held to it
    ]  # fmt: skip
    assert requests(lambda: store.release("a")) == ["LIST runs/a/lock", "PUT runs/a/lock/N.json"]

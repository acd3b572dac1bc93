"""The repository on endpoints that do less than AWS: no conditions on writes, no ranges."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import endpoints
import numpy as np
import obstore
import pytest
from endpoints import repository

from aeros_core.parameters import Parameters
from aeros_zarr.format import arrays

SERVERS = {
    "rclone": (endpoints.rclone, ("key", "secret")),
    "s3rver": (endpoints.s3rver, ("S3RVER", "S3RVER")),
}


@pytest.fixture(scope="module", params=SERVERS)
def server(request, tmp_path_factory):
    run, keys = SERVERS[request.param]
    with run(tmp_path_factory.mktemp(request.param)) as url:
        yield request.param, url, keys


@pytest.fixture
def url(server, monkeypatch):
    _, url, keys = server
    for name, value in zip(endpoints.KEYS, keys, strict=True):
        monkeypatch.setenv(name, value)
    return url


def test_that_conditions_are_ignored_is_found_out(url, tmp_path):
    store = repository(url, tmp_path)._store
    store._create("one.json", b"1")
    store._create("one.json", b"2")
    assert store.read("one.json") == b"2"  # it said yes twice: this is what is probed for
    assert not store.keeps_conditions
    assert store.create("two.json", b"1")
    assert not store.create("two.json", b"2")
    assert store.read("two.json") == b"1"


def test_a_range_may_be_answered_with_the_whole(server, url, tmp_path):
    """Nothing here asks for one: files are read whole, whatever an endpoint makes of ranges."""
    store = repository(url, tmp_path)._store
    store.replace("some/file.json", b"0123456789")
    if server[0] == "rclone":
        try:
            part = bytes(obstore.get_range(store._s3, "some/file.json", start=2, end=4))
        except Exception as error:  # the client finds out that it got something else
            part = str(error)
        assert part != b"23"
    assert store.read("some/file.json") == b"0123456789"
    with store.open("some/file.json") as file:
        assert file.read(4) == b"0123"


def test_everything_comes_back(url, tmp_path, examples, monkeypatch):
    monkeypatch.setattr(arrays, "CHUNK", 4096)
    store = repository(url, tmp_path)
    store.begin(examples.run())
    for number in (1, 2, 3):
        store.commit("a", examples.checkpoint(number))
    values = {f"w{n}": np.full(2000, n, np.float32) for n in range(6)}
    model = replace(examples.model(), parameters=Parameters.of(values))
    store.publish(model)
    later = Parameters.of(values | {"w3": np.zeros(2000, np.float32)})
    store.publish(replace(model, parameters=later))
    store.tag("model", "best", 1)
    again = repository(url, tmp_path)
    assert again.latest("a").parameters.digest == examples.checkpoint(3).parameters.digest
    assert again.model("model", "best").parameters.digest == model.parameters.digest
    assert again.model("model").parameters.digest == later.digest
    assert [info.version for info in again.models()] == [1, 2]
    assert set(again.verify().values()) == {""}
    assert again.remove("model", [1]) == []
    assert again.collect(3600.0) == {}


@pytest.mark.parametrize("writers", [2, 10])
def test_writers_at_once_get_versions_of_their_own(url, tmp_path, examples, writers):
    stores = [repository(url, tmp_path, timeout=60.0) for _ in range(writers)]
    with ThreadPoolExecutor(writers) as pool:
        work = [pool.submit(stores[n].publish, examples.model(seed=n)) for n in range(writers)]
    infos = [future.result() for future in work]
    assert sorted(info.version for info in infos) == list(range(1, writers + 1))
    for n, info in enumerate(infos):
        found = repository(url, tmp_path).model("model", info.version)
        assert found.parameters.digest == examples.parameters(n).digest
    assert set(stores[0].verify().values()) == {""}

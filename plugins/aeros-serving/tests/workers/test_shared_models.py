"""Models that workers map: read once for all, kept while a version that is served needs them."""

import asyncio
import socket
import time

import numpy as np
import pytest

from aeros_core.errors import RepositoryError
from aeros_core.parameters import Parameters
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_serving.models.deployment import Target
from aeros_serving.workers.channel import Channel
from aeros_serving.workers.connection import Connection
from aeros_serving.workers.errors import WorkerGone
from aeros_serving.workers.shared_models import MappedModels, SharedModels


class Source:
    """A repository that counts how often each model is read."""

    def __init__(self):
        self.read, self.damaged, self.samples = [], False, {}

    def model(self, name, version="latest"):
        self.read.append((name, version))
        time.sleep(0.01)
        if self.damaged:
            raise RepositoryError("damaged", hint="repair it")
        parameters = Parameters.of({"w": np.full(1000, float(len(self.read)), np.float32)})
        return Model(name, parameters, Schema((Field("x", "float32"),)), samples=self.samples)


class Workers:
    """Changes that reach the workers."""

    def __init__(self):
        self.calls = []

    async def prepare(self, target):
        self.calls.append(("prepare", target))

    async def commit(self, target):
        self.calls.append(("commit", target))

    async def discard(self, target):
        self.calls.append(("discard", target))

    async def drained(self, name):
        self.calls.append(("drained", name))


@pytest.fixture
def source():
    return Source()


@pytest.fixture
def shared(source):
    made = SharedModels(source, Workers())
    yield made
    made.close()


async def there(shared):
    """Return the versions whose files are open."""
    await asyncio.sleep(0.01)  # the loop lets go of the results that it has delivered
    return sorted(shared._numbered)


def run(scenario):
    asyncio.run(asyncio.wait_for(scenario, 60))


def test_workers_that_ask_at_the_same_time_get_one_file(source, shared):
    async def scenario():
        asked = [shared.model("toy", 1, "toy", 1) for _ in range(3)]
        first, *others = await asyncio.gather(*asked)
        assert all(each is first for each in others)
        assert await shared.model("toy", 1, "toy", 1) is first
        assert source.read == [("toy", 1)]

    run(scenario())


def test_a_version_is_kept_as_long_as_it_is_served(source, shared):
    async def scenario():
        for version in (1, 2):
            await shared.model("toy", version, "toy", version)
            await shared.prepare(Target("toy", version))
            await shared.commit(Target("toy", version))
            assert await there(shared) == [("toy", version)]
        await shared.model("toy", 3, "toy", 3)
        await shared.commit(Target("toy", 2, 3, 0.5))
        assert await there(shared) == [("toy", 2), ("toy", 3)]
        await shared.commit(Target("toy", 0))
        assert await there(shared) == []
        await shared.model("toy", 2, "toy", 2)  # loaded anew: verified anew
        assert [version for _, version in source.read] == [1, 2, 3, 2]

    run(scenario())


def test_what_is_not_committed_is_let_go(source, shared):
    async def scenario():
        await shared.model("toy", 1, "toy", 1)
        await shared.commit(Target("toy", 1))
        await shared.model("toy", 2, "toy", 2)
        await shared.discard(Target("toy", 2))
        assert await there(shared) == [("toy", 1)]
        assert [name for name, _ in shared._workers.calls] == ["commit", "discard"]

    run(scenario())


def test_members_of_a_graph_are_shared_and_kept_with_it(source, shared):
    async def scenario():
        for name, version in (("graph", 1), ("part", "2"), ("other", "production")):
            await shared.model("graph", 1, name, version)
        await shared.commit(Target("graph", 1))
        part = await shared.model("part", 2, "part", 2)  # the same version by itself
        assert part is await shared.model("graph", 1, "part", "2")
        await shared.commit(Target("part", 2))
        assert len(source.read) == 3
        await shared.model("graph", 2, "other", "production")  # the tag may have moved
        assert len(source.read) == 4
        await shared.commit(Target("graph", 0))
        assert await there(shared) == [("part", 2)]

    run(scenario())


def test_a_model_that_cannot_be_read_is_tried_again(source, shared):
    async def scenario():
        source.damaged = True
        asked = [shared.model("toy", 1, "toy", 1) for _ in range(2)]
        for error in await asyncio.gather(*asked, return_exceptions=True):
            assert type(error) is RepositoryError
        assert len(source.read) == 1
        source.damaged = False
        assert await shared.model("toy", 1, "toy", 1) is not None

    run(scenario())


def test_a_model_that_cannot_be_shared_is_read_by_each_worker(source, shared, caplog):
    source.samples = {"x": np.array(["a"], object)}

    async def scenario():
        assert await shared.model("toy", 1, "toy", 1) is None
        assert await shared.model("toy", 1, "toy", 1) is None
        assert len(source.read) == 1

    run(scenario())
    assert "model 'toy' is not shared, each worker holds a copy: an array of object" in caplog.text


def test_a_worker_maps_what_the_supervisor_has_read(source, shared):
    async def scenario():
        ends = [Connection(end) for end in socket.socketpair()]
        supervisor = Channel(ends[0], {"model": shared.model})
        worker = Channel(ends[1], {})
        runs = [asyncio.create_task(channel.run()) for channel in (supervisor, worker)]
        loop = asyncio.get_running_loop()
        mapped = MappedModels("toy", 1, worker, loop, source)
        one, other = [await asyncio.to_thread(mapped.model, "toy", 1) for _ in range(2)]
        assert source.read == [("toy", 1)]
        assert (one.parameters.vector == other.parameters.vector).all()
        assert one.parameters.vector is not other.parameters.vector
        source.samples = {"x": np.array(["a"], object)}
        own = await asyncio.to_thread(mapped.model, "toy", 2)
        assert source.read == [("toy", 1), ("toy", 2), ("toy", 2)]
        assert own.samples == source.samples
        source.damaged = True
        with pytest.raises(RepositoryError, match="damaged") as error:
            await asyncio.to_thread(mapped.model, "toy", 3)
        assert error.value.hint == "repair it"
        supervisor.close()
        await asyncio.gather(*runs)
        with pytest.raises(WorkerGone):
            await asyncio.to_thread(mapped.model, "toy", 1)

    run(scenario())

"""Changes are carried out in all processes or in none, one at a time."""

import asyncio

import pytest

from aeros_core.errors import RepositoryError
from aeros_core.records import ModelInfo
from aeros_serving.config import Serving
from aeros_serving.control.controller import DeploymentController
from aeros_serving.models.deployment import Target
from aeros_serving.protocol.errors import Unavailable, Unknown


class Stored:
    """A repository: versions of the model toy, and tags."""

    def __init__(self, **tags):
        self.tags = tags

    def models(self, name=None):
        tags = self.tags
        return [
            ModelInfo("toy", v, "", "", 0, {}, "", 0, tuple(t for t in tags if tags[t] == v))
            for v in (1, 2, 3)
            if name in (None, "toy")
        ]


class Recorded:
    """Processes that record what they are asked, and fail for some versions."""

    def __init__(self):
        self.steps, self.bad, self.hold, self.ended = [], set(), None, 0

    async def prepare(self, target):
        self.steps.append(("prepare", target))
        if self.hold is not None:
            await self.hold.wait()
        if self.ended:
            self.ended -= 1
            raise Unavailable("a process of the server has ended")
        if bad := target.versions & self.bad:
            raise RepositoryError(f"version {bad} is damaged")

    async def commit(self, target):
        self.steps.append(("commit", target))

    async def discard(self, target):
        self.steps.append(("discard", target))

    async def drained(self, name):
        self.steps.append(("drained", name))
        if self.hold is not None:
            await self.hold.wait()


@pytest.fixture
def processes():
    return Recorded()


@pytest.fixture
def stored():
    return Stored(production=1)


@pytest.fixture
def made(processes, stored):
    """Make a controller within an event loop: ``made(canary="next")``."""
    controllers = []

    def make(**options):
        controllers.append(DeploymentController(stored, Serving(**options), processes))
        return controllers[-1]

    yield make
    for each in controllers:
        each.close()


def test_a_model_is_prepared_and_then_committed(made, processes):
    controller = made()
    assert asyncio.run(controller.load("toy", "production")) == 1
    target = Target("toy", 1)
    assert processes.steps == [("prepare", target), ("commit", target)]
    assert controller.targets == [target]


def test_a_version_that_one_process_cannot_load_changes_nothing(made, processes):
    async def scenario():
        controller = made()
        await controller.load("toy", "1")
        processes.bad = {2}
        processes.steps.clear()
        with pytest.raises(RepositoryError, match="damaged"):
            await controller.load("toy", "2")
        assert [step for step, _ in processes.steps] == ["prepare", "discard"]
        assert controller.targets == [Target("toy", 1)]
        assert controller.failures == {"toy": 1}
        states = {each.version: each.state for each in await controller.index()}
        assert states == {"1": "READY", "2": "UNAVAILABLE", "3": "UNAVAILABLE"}

    asyncio.run(scenario())


def test_a_canary_that_cannot_be_loaded_leaves_the_live_version_moved(made, processes, stored):
    async def scenario():
        controller = made(canary="next", canary_share=0.25)
        await controller.load("toy", "production")
        stored.tags |= {"production": 2, "next": 3}
        processes.bad = {3}
        with pytest.raises(RepositoryError):
            await controller._look("toy")
        assert controller.targets == [Target("toy", 2)]

    asyncio.run(scenario())


def test_a_canary_becomes_the_live_version(made, processes, stored):
    async def scenario():
        stored.tags["next"] = 2
        controller = made(canary="next", canary_share=0.25)
        await controller.load("toy", "production")
        assert controller.targets == [Target("toy", 1, 2, 0.25)]
        stored.tags["production"] = 2
        await controller._look("toy")
        assert controller.targets == [Target("toy", 2)]

    asyncio.run(scenario())


def test_changes_wait_for_one_another(made, processes):
    async def scenario():
        controller = made()
        processes.hold = asyncio.Event()
        first = asyncio.create_task(controller.load("toy", "1"))
        while not processes.steps:
            await asyncio.sleep(0.01)
        second = asyncio.create_task(controller.load("toy", "2"))
        await asyncio.sleep(0.05)
        assert len(processes.steps) == 1
        processes.hold.set()
        assert await asyncio.gather(first, second) == [1, 2]
        assert [step for step, _ in processes.steps] == ["prepare", "commit"] * 2

    asyncio.run(scenario())


def test_an_unloaded_model_has_predicted_what_waited(made, processes):
    async def scenario():
        controller = made()
        await controller.load("toy", "1")
        await controller.unload("toy")
        assert processes.steps[-2:] == [("commit", Target("toy", 0)), ("drained", "toy")]
        assert controller.targets == []
        with pytest.raises(Unknown, match="'toy' is not loaded; models: none"):
            await controller.unload("toy")

    asyncio.run(scenario())


def test_a_load_that_is_cancelled_is_discarded(made, processes):
    async def scenario():
        controller = made()
        processes.hold = asyncio.Event()
        loading = asyncio.create_task(controller.load("toy", "1"))
        while not processes.steps:
            await asyncio.sleep(0.01)
        loading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await loading
        assert [step for step, _ in processes.steps] == ["prepare", "discard"]
        assert (controller.targets, controller.failures) == ([], {})
        processes.hold.set()
        assert await controller.load("toy") == 3

    asyncio.run(scenario())


def test_an_unload_does_not_wait_for_ever(made, processes, caplog):
    async def scenario():
        controller = made(drain=0.05)
        await controller.load("toy", "1")
        processes.hold = asyncio.Event()
        await controller.unload("toy")
        assert controller.targets == []

    asyncio.run(scenario())
    assert "'toy' is unloaded, and still computes after serving.drain=0.05 s" in caplog.text


@pytest.mark.parametrize(("ends", "live"), [(1, 2), (2, 1)])
def test_a_version_over_which_a_process_ended_is_tried_once_more_at_once(
    made, processes, stored, ends, live
):
    async def scenario():
        controller = made()
        await controller.load("toy", "production")
        stored.tags["production"] = 2
        processes.ended = ends
        for _ in range(ends):
            with pytest.raises(Unavailable):
                await controller._look("toy")
        await controller._look("toy")  # after two ends not before a minute is over
        assert controller.targets == [Target("toy", live)]

    asyncio.run(scenario())

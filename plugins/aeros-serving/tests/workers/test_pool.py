"""What is asked of all workers together: changes, readiness, sums."""

import asyncio

import pytest

from aeros_core.errors import RepositoryError
from aeros_core.roles.inferencer import Count
from aeros_core.schema import Field
from aeros_serving.control.report import VersionReport, to_json
from aeros_serving.models.deployment import Target
from aeros_serving.models.statistics import Drift, Statistics
from aeros_serving.workers import pool as pool_module
from aeros_serving.workers.errors import WorkerGone
from aeros_serving.workers.pool import WorkerPool

ONE, TWO = Target("toy", 1), Target("toy", 2)


class Fake:
    """A worker that records its calls, and fails as it is told."""

    def __init__(self, number):
        self.number, self.calls, self.errors, self.killed = number, [], {}, False
        self.answered, self.version, self.open, self.waiting = 0, 1, True, 0

    async def call(self, name, /, **arguments):
        self.calls.append(name)
        if error := self.errors.get(name):
            raise error
        if name == "ready":
            if self.open == "hangs":
                await asyncio.sleep(60)
            return self.open
        return [to_json(self.reported())] if name == "report" else None

    def reported(self):
        statistics = Statistics(drift=(Drift(Field("x", "float32")),))
        for _ in range(self.answered):
            statistics.answered(0.0, 0.1)
        counts = [Count("aeros_x_total", "x", self.answered), Count("aeros_x", "x", 1)]
        return VersionReport("toy", self.version, True, statistics, self.waiting, {}, counts)

    def kill(self):
        self.killed = True


@pytest.fixture
def workers():
    return [Fake(1), Fake(2), Fake(3)]


@pytest.fixture
def pool(workers):
    made = WorkerPool()
    for each in workers:
        made.add(each)
    return made


def test_a_change_goes_to_all(pool, workers):
    asyncio.run(pool.prepare(ONE))
    asyncio.run(pool.commit(ONE))
    assert [each.calls for each in workers] == [["prepare", "commit"]] * 3


def test_the_error_of_a_change_is_that_of_the_worker_that_cannot(pool, workers):
    workers[0].errors["prepare"] = WorkerGone()
    workers[2].errors["prepare"] = RepositoryError("damaged")
    with pytest.raises(RepositoryError, match="damaged"):
        asyncio.run(pool.prepare(ONE))


def test_a_worker_that_ends_over_a_change_fails_it(pool, workers):
    workers[1].errors["prepare"] = WorkerGone()
    with pytest.raises(WorkerGone):
        asyncio.run(pool.prepare(ONE))


def test_without_workers_nothing_is_changed():
    with pytest.raises(WorkerGone):
        asyncio.run(WorkerPool().prepare(ONE))


def test_a_worker_that_could_not_swap_is_replaced(pool, workers, caplog):
    workers[0].errors["commit"] = WorkerGone()
    workers[1].errors["commit"] = RuntimeError("no")
    asyncio.run(pool.commit(ONE))
    assert [each.killed for each in workers] == [False, True, False]
    assert "worker 2 is replaced, as it could not swap: no" in caplog.text


def test_readiness_is_the_worst_of_all_and_known_for_a_moment(pool, workers):
    async def scenario():
        assert await pool.ready()
        workers[1].open = False
        assert await pool.ready()  # as it was a moment ago
        assert workers[1].calls == ["ready"]
        await asyncio.sleep(pool_module.FRESH)
        assert not await pool.ready()

    asyncio.run(scenario())


def test_a_worker_that_does_not_answer_is_not_ready(pool, workers, monkeypatch):
    monkeypatch.setattr(pool_module, "PATIENCE", 0.05)
    workers[0].open = "hangs"
    assert not asyncio.run(pool.ready())


def test_without_workers_the_server_is_not_ready():
    assert not asyncio.run(WorkerPool().ready())


def counted(pool):
    report = asyncio.run(pool.report({}))
    return {each.version: each.statistics.success.count for each in report.versions}


def test_reports_are_summed_and_counters_never_fall(pool, workers):
    for number, each in enumerate(workers):
        each.answered, each.waiting = number + 1, 1
    assert counted(pool) == {1: 6}
    pool.remove(workers[2])
    report = asyncio.run(pool.report({"toy": 2}))
    (version,) = report.versions
    assert (version.statistics.success.count, version.waiting) == (6, 2)
    assert [each.value for each in version.counts] == [6, 1]
    assert (report.workers, report.failures) == (2, {"toy": 2})
    workers[0].answered = 5
    assert counted(pool) == {1: 10}


def test_a_version_that_is_loaded_anew_starts_from_nothing(pool, workers):
    for each in workers:
        each.answered = 2
    assert counted(pool) == {1: 6}
    pool.remove(workers[2])
    asyncio.run(pool.commit(Target("toy", 0)))
    for each in workers:
        each.answered = 0
    asyncio.run(pool.commit(ONE))
    assert counted(pool) == {1: 0}


def test_what_ended_workers_did_goes_with_the_version(pool, workers):
    for each in workers:
        each.answered = 1
    assert counted(pool) == {1: 3}
    pool.remove(workers[0])
    asyncio.run(pool.commit(TWO))
    for each in workers:
        each.version, each.answered = 2, 7
    assert counted(pool) == {2: 14}


def test_of_a_worker_that_does_not_answer_the_last_report_remains(pool, workers):
    workers[0].answered = 4
    assert counted(pool) == {1: 4}
    workers[0].errors["report"] = WorkerGone()
    workers[1].answered = 1
    assert counted(pool) == {1: 5}

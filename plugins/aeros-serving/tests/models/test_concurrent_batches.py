"""Versions that predict several batches at the same time: how many, for whom, and until when."""

import asyncio
import threading
import time

import numpy as np
import pytest
from queue_client import Desk, run

from aeros_serving.models import queue
from aeros_serving.protocol.errors import Expired, Unavailable


class Waits:
    """Doubles once it is let; keeps the sizes of batches, and how many were there at once."""

    def __init__(self, concurrency=None, seconds=0.0):
        if concurrency:
            self.concurrency = concurrency
        self.sizes, self.most, self.seconds = [], 0, seconds
        self.gate, self._there, self._lock = threading.Event(), 0, threading.Lock()

    def predict(self, batch):
        with self._lock:
            self.sizes.append(len(batch["x"]))
            self._there += 1
            self.most = max(self.most, self._there)
        self.gate.wait(20)
        time.sleep(self.seconds * float(batch["x"][0, 0]))
        with self._lock:
            self._there -= 1
        return {"scores": batch["x"] * 2}


@pytest.fixture
def waiting(toys):
    """Return a version whose inferencer waits, and the inferencer."""

    def make(*words):
        served, inferencer = toys.load("toy", 1), Waits(*words)
        object.__setattr__(served.service, "inferencer", inferencer)
        return served, inferencer

    return make


async def until(true):
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        await asyncio.sleep(0.002)


@pytest.mark.parametrize(("concurrency", "most"), [(None, 1), (1, 1), (3, 3)])
def test_as_many_batches_are_under_way_as_the_inferencer_takes(waiting, rows, concurrency, most):
    served, inferencer = waiting(concurrency)

    async def work():
        desk = Desk(served, max_batch=1)
        for _ in range(8):
            desk.ask(rows(1))
        await until(lambda: len(inferencer.sizes) == most)
        assert desk.lane.waiting == 8 - most
        inferencer.gate.set()
        await desk.all()
        await desk.lane.drain()

    run(work())
    assert inferencer.most == most
    seen = served.statistics
    assert (seen.rows, seen.executions, seen.success.count) == (8, 8, 8)


def test_answers_that_overtake_one_another_reach_their_own_requests(waiting, rows):
    served, inferencer = waiting(4, 0.002)
    inferencer.gate.set()

    async def work():
        desk = Desk(served, max_batch=2)
        for value in range(30):
            desk.ask(rows(1, value * 7 % 10))
            await asyncio.sleep(0.001)
        return await desk.all()

    for value, answer in enumerate(run(work())):
        np.testing.assert_array_equal(answer["scores"], np.full((1, 3), value * 7 % 10 * 2))
    assert served.statistics.rows == 30


def test_a_further_batch_gathers_what_comes_within_the_stagger(waiting, rows, monkeypatch):
    monkeypatch.setattr(queue, "STAGGER", 0.2)
    served, inferencer = waiting(2)

    async def work():
        desk = Desk(served)
        desk.ask(rows(1))
        await until(lambda: inferencer.sizes)
        for _ in range(3):
            desk.ask(rows(1))
            await asyncio.sleep(0)
        await until(lambda: len(inferencer.sizes) == 2)
        inferencer.gate.set()
        await desk.all()

    run(work())
    assert inferencer.sizes == [1, 3]


@pytest.mark.parametrize("full", [False, True])
def test_nothing_waits_for_the_stagger_without_need(waiting, rows, monkeypatch, full):
    """A full batch goes at once, and so does the next once none is under way."""
    monkeypatch.setattr(queue, "STAGGER", 3600.0)
    served, inferencer = waiting(2)

    async def work():
        desk = Desk(served)
        desk.ask(rows(1))
        await until(lambda: inferencer.sizes)
        desk.ask(rows(8 if full else 1))
        if full:
            await until(lambda: len(inferencer.sizes) == 2)
        inferencer.gate.set()
        await desk.all()

    run(work())
    assert inferencer.sizes == [1, 8 if full else 1]


def test_rows_that_must_not_meet_are_under_way_at_once(waiting, rows):
    served, inferencer = waiting(3)
    served.alone = True

    async def work():
        desk = Desk(served)
        for _ in range(3):
            desk.ask(rows(2))
        await until(lambda: len(inferencer.sizes) == 3)
        inferencer.gate.set()
        await desk.all()

    run(work())
    assert inferencer.sizes == [2, 2, 2]


def test_draining_waits_for_every_batch_under_way(waiting, rows):
    served, inferencer = waiting(2)

    async def work():
        desk = Desk(served, max_batch=1)
        for _ in range(3):
            desk.ask(rows(1))
        await until(lambda: len(inferencer.sizes) == 2)
        draining = asyncio.get_running_loop().create_task(desk.lane.drain())
        await asyncio.sleep(0.02)
        assert not draining.done()
        inferencer.gate.set()
        await draining
        return [answer.done() for answer in desk.answers]

    assert run(work()) == [True] * 3


def test_whoever_is_given_up_is_told_once(waiting, rows):
    served, inferencer = waiting(2)

    async def work():
        desk = Desk(served, max_batch=1)
        for _ in range(3):
            desk.ask(rows(1))
        await until(lambda: len(inferencer.sizes) == 2)
        assert desk.lane.give_up() == 3
        inferencer.gate.set()
        answers = await desk.all()
        await until(lambda: not desk.lane._computed)
        return answers

    assert all(isinstance(answer, Unavailable) for answer in run(work()))
    assert served.statistics.errors == {"Unavailable": 3}
    assert served.statistics.success.count == 0


def test_a_deadline_holds_while_every_place_is_taken(waiting, rows):
    served, inferencer = waiting(2)

    async def work():
        desk = Desk(served, max_batch=1, deadline=0.05)
        for _ in range(3):
            desk.ask(rows(1))
        await until(lambda: len(inferencer.sizes) == 2)
        await asyncio.sleep(0.1)
        inferencer.gate.set()
        return await desk.all()

    *good, late = run(work())
    assert all("scores" in answer for answer in good)
    assert isinstance(late, Expired)
    assert inferencer.sizes == [1, 1]


def test_batches_that_compute_follow_no_faster_than_they_do(waiting, rows):
    """A local member that takes 0.5 s of processor time a batch, before it asks elsewhere."""
    served, inferencer = waiting(16)
    inferencer.gate.set()
    waits = inferencer.predict

    def busy(batch):
        answer, end = waits(batch), time.thread_time() + 0.5
        while time.thread_time() < end:
            pass
        return answer

    inferencer.predict = busy

    async def work():
        desk = Desk(served)
        desk.ask(rows(1))
        await desk.all()  # now it is known
        desk.ask(rows(1))
        for _ in range(4):
            await asyncio.sleep(2 * queue.STAGGER)
            desk.ask(rows(1))
        await desk.all()

    run(work())
    assert inferencer.sizes == [1, 1, 4]  # otherwise one batch for each request

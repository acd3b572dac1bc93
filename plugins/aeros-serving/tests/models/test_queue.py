"""Batches: how large they are, how long they wait, who is let in and who fails."""

import asyncio
import threading
import time

import numpy as np
import pytest
from queue_client import Desk, run

from aeros_core.errors import AerosError, DataError
from aeros_serving.config import Where
from aeros_serving.models import queue
from aeros_serving.protocol.errors import Exhausted, Expired, Overloaded, Refused, Unavailable


@pytest.mark.parametrize("where", [Where.inline, Where.thread])
def test_each_request_gets_its_own_rows_back(served, rows, where):
    async def work():
        desk = Desk(served, where)
        for value in range(20):
            desk.ask(rows(1 + value % 3, value / 100))
        return await desk.all()

    for value, answer in enumerate(run(work())):
        np.testing.assert_allclose(answer["scores"], np.full((1 + value % 3, 3), value / 50))


def test_what_is_there_goes_together_up_to_the_largest_batch(served, rows):
    sizes = served.service.inferencer.sizes
    sizes.clear()

    async def work():
        desk = Desk(served, Where.inline)
        for _ in range(20):
            desk.ask(rows(1))
        await desk.all()

    run(work())
    assert sizes == [8, 8, 4]
    seen = served.statistics
    assert (seen.rows, seen.executions, seen.success.count) == (20, 3, 20)
    assert {size: one[1].count for size, one in seen.batches.items()} == {8: 2, 4: 1}


def test_a_model_that_looks_at_several_rows_gets_each_request_alone(toys, rows):
    """Windows of two rows: one answer less than rows, and none across requests."""

    class Pairs:
        def predict(self, batch):
            if len(batch["x"]) < 2:
                raise DataError("a window is longer than any stretch of rows")
            return {"scores": batch["x"][1:] - batch["x"][:-1]}

    toys.repository.all["pairs", 1] = (toys.repository.all["toy", 1][0], Pairs())
    served = toys.load("pairs", 1)
    assert served.alone

    async def work():
        desk = Desk(served, Where.inline)
        for value in range(1, 4):
            desk.ask({"x": np.cumsum(rows(3, value)["x"], 0)})
        desk.ask(rows(1))
        return await desk.all()

    *answers, short = run(work())
    for value, answer in enumerate(answers, 1):
        np.testing.assert_array_equal(answer["scores"], np.full((2, 3), value))
    assert str(short) == "a window is longer than any stretch of rows"
    assert served.statistics.executions == 3


def test_a_preferred_size_goes_at_once_and_the_rest_waits(served, rows):
    sizes = served.service.inferencer.sizes
    sizes.clear()

    async def work():
        desk = Desk(served, Where.inline, preferred=(2, 4), delay=0.3)
        for _ in range(7):
            desk.ask(rows(1))
        start = asyncio.get_running_loop().time()
        await desk.all()
        return asyncio.get_running_loop().time() - start

    assert run(work()) > 0.1
    assert sizes == [4, 2, 1]


@pytest.mark.parametrize("where", [Where.inline, Where.thread])
def test_a_batch_that_fills_up_while_it_waits_goes_at_once(served, rows, where):
    async def work():
        desk = Desk(served, where, delay=60.0)
        for _ in range(8):  # one after the other: the first has begun to wait
            desk.ask(rows(1))
            await asyncio.sleep(0.005)
        return await desk.all()

    assert len(run(work())) == 8


def test_requests_wait_for_others_but_not_beyond_the_delay(served, rows):
    sizes = served.service.inferencer.sizes
    sizes.clear()

    async def work():
        desk = Desk(served, delay=0.2)
        for _ in range(3):
            desk.ask(rows(1))
            await asyncio.sleep(0.001)
        await desk.all()

    run(work())
    assert sizes == [3]


def test_a_full_queue_refuses(served, rows):
    served.service.inferencer.gate.clear()

    async def work():
        desk = Desk(served, max_queue=2)
        desk.ask(rows(1))
        await asyncio.sleep(0.05)  # the first is being computed
        desk.ask(rows(1))
        desk.ask(rows(1))
        with pytest.raises(Overloaded, match="2 requests wait for model 'toy' already"):
            desk.ask(rows(1))
        served.service.inferencer.gate.set()
        await desk.all()

    run(work())
    assert served.statistics.errors == {"Overloaded": 1}


def test_who_waited_too_long_is_told_and_not_computed(served, rows):
    inferencer = served.service.inferencer
    inferencer.gate.clear()
    inferencer.sizes.clear()

    async def work():
        desk = Desk(served, deadline=0.05)
        desk.ask(rows(1))
        await asyncio.sleep(0.02)
        desk.ask(rows(5))
        await asyncio.sleep(0.1)
        inferencer.gate.set()
        return await desk.all()

    first, second = run(work())
    assert "scores" in first
    assert isinstance(second, Expired)
    assert inferencer.sizes == [1]


def test_who_left_is_not_computed(served, rows):
    inferencer = served.service.inferencer
    inferencer.gate.clear()
    inferencer.sizes.clear()

    async def work():
        desk = Desk(served)
        desk.ask(rows(1))
        await asyncio.sleep(0.02)
        desk.ask(rows(5)).cancelled = True
        desk.answers.pop()
        inferencer.gate.set()
        await desk.all()
        await desk.lane.drain()

    run(work())
    assert inferencer.sizes == [1]
    assert served.statistics.errors == {"Cancelled": 1}


def test_only_the_guilty_request_fails(served, rows):
    async def work():
        desk = Desk(served)
        for value in (0.1, 13, 14, 0.2):
            desk.ask(rows(1, value))
        return await desk.all()

    good, bad, large, fine = run(work())
    assert "scores" in good
    assert "scores" in fine
    assert (type(bad), str(bad)) == (Refused, "ValueError: thirteen")
    assert (type(large), str(large)) == (Exhausted, "out of memory: no room")
    assert served.statistics.errors == {"Refused": 1, "Exhausted": 1}


def test_where_what_is_asked_is_away_nobody_is_guilty(served, rows):
    """Else each request of a batch would wait for the same server, one after the other."""
    sizes = []

    def away(batch):
        sizes.append(len(batch["x"]))
        raise AerosError("http://there did not answer", hint="is it there?")

    served.service.inferencer.predict = away

    async def work():
        desk = Desk(served)
        for _ in range(3):
            desk.ask(rows(1))
        return await desk.all()

    found = run(work())
    assert [(type(each), str(each)) for each in found] == [
        (Unavailable, "http://there did not answer")
    ] * 3
    assert sizes == [3]
    assert served.statistics.errors == {"Unavailable": 3}


def test_draining_answers_what_waits_and_takes_no_more(served, rows):
    inferencer = served.service.inferencer
    inferencer.gate.clear()

    async def work():
        desk = Desk(served, delay=30.0)
        desk.ask(rows(1))
        desk.ask(rows(1))
        draining = asyncio.get_running_loop().create_task(desk.lane.drain())
        await asyncio.sleep(0.02)
        with pytest.raises(Unavailable):
            desk.ask(rows(1))
        assert not draining.done()
        inferencer.gate.set()
        await draining
        return [answer.done() for answer in desk.answers]

    assert run(work()) == [True, True]


@pytest.mark.parametrize("where", [Where.auto, Where.inline])
def test_what_turns_out_to_be_slow_moves_to_a_thread(served, rows, where, caplog, monkeypatch):
    monkeypatch.setattr(queue, "SLOW", 0.5)  # no quick batch takes as long on a busy machine
    served.seconds, threads = 0.0, []

    def predict(batch):
        threads.append(threading.current_thread() is threading.main_thread())
        time.sleep(0.6 if len(batch["x"]) > 1 else 0)
        return {"x": batch["x"]}

    served.service.inferencer.predict = predict

    async def work():
        desk = Desk(served, where)
        for count in (1, 2, 1, 2, 1, 2):
            desk.ask(rows(count))
            await desk.all()
        await desk.lane.drain()

    with caplog.at_level("INFO"):
        run(work())
    moved = where is Where.auto
    assert threads == [True] * 4 + [not moved] * 2  # once may be an accident
    said = [record.getMessage() for record in caplog.records if "toy" in record.getMessage()]
    assert len(said) == moved
    assert not moved or "in a thread of their own from now on" in said[0]


@pytest.mark.parametrize("asks", [False, True])
def test_what_is_slow_or_asks_others_has_a_thread_of_its_own(served, rows, asks):
    served.seconds = 0.0 if asks else 1.0
    where, inferencer = [], served.service.inferencer
    if asks:  # a server that hangs must not hold up every model
        inferencer.members, inferencer.take = {}, lambda members: None
    assert served.asks == asks
    served.service.inferencer.predict = lambda batch: (
        where.append(threading.current_thread()) or {"x": batch["x"]}
    )

    async def work():
        desk = Desk(served, Where.auto)
        desk.ask(rows(1))
        await desk.all()

    run(work())
    assert where[0] is not threading.main_thread()

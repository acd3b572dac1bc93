"""The number of threads changes no bit, and a forked child can aggregate too."""

from __future__ import annotations

import multiprocessing
import threading

import numpy as np
import pytest

from aeros_aggregators.arrays import parallel
from aeros_aggregators.rules.fedavg import FedAvg, FedAvgM
from aeros_aggregators.rules.robust import Median

LARGE = 400_003


@pytest.mark.parametrize("size", [0, 1, parallel.SPAN, parallel.SPAN + 1, 10 * parallel.SPAN + 7])
@pytest.mark.parametrize("number", [1, 2, 5])
def test_ranges_cover_every_element_once(monkeypatch, size, number):
    monkeypatch.setattr(parallel, "count", lambda: number)
    counts = np.zeros(size, int)

    def kernel(array, start, stop):
        assert start % parallel.SPAN == 0
        array[start:stop] += 1

    parallel.spread(kernel, size, counts)
    assert (counts == 1).all()


@pytest.mark.parametrize(
    "make",
    [
        lambda: FedAvg(personal=()),
        lambda: Median(personal=()),
        lambda: FedAvgM(server_lr=1.0, momentum=0.9, personal=()),
    ],
    ids=["fedavg", "median", "fedavgm"],
)
def test_number_of_threads_changes_no_bit(monkeypatch, draw, make):
    start, rounds = draw(size=LARGE, clients=5, rounds=1)
    digests = set()
    for number in (1, 2, 3):
        monkeypatch.setattr(parallel, "count", lambda n=number: n)
        digests.add(make().aggregate(start, rounds[0]).digest)
    assert len(digests) == 1


def test_an_error_in_a_thread_is_raised(monkeypatch):
    monkeypatch.setattr(parallel, "count", lambda: 2)

    def kernel(start, stop):
        raise ValueError(f"{stop > start}")

    with pytest.raises(ValueError, match="True"):
        parallel.spread(kernel, LARGE)


def test_several_threads_may_aggregate_at_once(draw):
    start, rounds = draw(size=LARGE, clients=5, rounds=1)
    expected = FedAvg(personal=()).aggregate(start, rounds[0]).digest
    found = []
    workers = [
        threading.Thread(
            target=lambda: found.append(FedAvg(personal=()).aggregate(start, rounds[0]).digest)
        )
        for _ in range(4)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [expected] * 4


def _child(start, updates, queue):
    queue.put(FedAvg(personal=()).aggregate(start, updates).digest)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Python 3.12 warns of any fork
def test_a_forked_child_aggregates(draw):
    start, rounds = draw(size=LARGE, clients=3, rounds=1)
    expected = FedAvg(personal=()).aggregate(start, rounds[0]).digest
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=_child, args=(start, rounds[0], queue))
    child.start()
    child.join(300)
    assert child.exitcode == 0
    assert queue.get() == expected

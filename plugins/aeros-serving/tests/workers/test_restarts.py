"""Workers that end soon after their start are replaced later and later."""

from aeros_serving.workers.restarts import HEALTHY, LIMIT, LONGEST, Restarts


def test_each_replacement_waits_twice_as_long_as_the_one_before():
    restarts = Restarts()
    assert [restarts.delay(1.0) for _ in range(4)] == [0.1, 0.2, 0.4, 0.8]
    assert [restarts.delay(0.0) for _ in range(20)][-1] == LONGEST


def test_a_worker_that_served_long_counts_as_the_first_again():
    restarts = Restarts()
    for _ in range(LIMIT):
        restarts.delay(1.0)
    assert restarts.hopeless
    assert restarts.delay(HEALTHY) == 0.1
    assert not restarts.hopeless


def test_many_workers_may_all_end_twice():
    restarts = Restarts(workers=10)
    for _ in range(2 * 10):
        restarts.delay(1.0)
    assert not restarts.hopeless
    for _ in range(10):
        restarts.delay(1.0)
    assert restarts.hopeless

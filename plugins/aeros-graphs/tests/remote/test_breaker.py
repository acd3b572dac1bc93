from aeros_graphs.remote.circuit_breaker import CircuitBreaker


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_it_opens_after_failures_and_lets_one_through_after_a_pause():
    clock = Clock()
    breaker = CircuitBreaker(2, 10.0, clock)
    breaker.tell(success=False)
    assert breaker.closed_in() == 0
    breaker.tell(success=False)
    assert breaker.closed_in() == 10
    clock.now += 4
    assert breaker.closed_in() == 6
    clock.now += 6
    assert breaker.closed_in() == 0
    assert breaker.closed_in() == 10, "one alone is let through"
    breaker.tell(success=False)
    assert breaker.closed_in() == 10
    clock.now += 10
    assert breaker.closed_in() == 0
    breaker.tell(success=True)
    assert breaker.closed_in() == 0
    assert breaker.closed_in() == 0


def test_failures_count_one_after_the_other():
    breaker = CircuitBreaker(2, 10.0, Clock())
    for _ in range(5):
        breaker.tell(success=False)
        breaker.tell(success=True)
    assert breaker.closed_in() == 0

import time

import pytest

from aeros_torch.pace import Pace


def test_clients_and_their_time_are_counted():
    pace = Pace()
    assert pace.each == 0.0
    for _ in range(2):
        with pace.client():
            time.sleep(0.01)
    assert pace.clients == 2
    assert pace.seconds == pytest.approx(2 * pace.each)
    assert pace.each >= 0.01


def test_a_client_that_fails_does_not_count():
    pace = Pace()
    with pytest.raises(ValueError, match="no"), pace.client():
        raise ValueError("no")
    assert pace.clients == 0

import os

import numpy as np

from aeros_core.parameters import Layout, Parameters
from aeros_torch.engines.processes.parameter_slots import SEATS, SharedParameters

LAYOUT = Layout.of({"a": ((3, 2), "float32"), "b": ((), "int64"), "c": ((4,), "float64")})


def some(seed):
    rng = np.random.default_rng(seed)
    parts = {d: rng.integers(0, 99, size).astype(d) for d, size in LAYOUT.sizes.items()}
    return Parameters(LAYOUT, parts)


def test_each_seat_has_its_own_of_everything():
    here = SharedParameters(LAYOUT, 6)
    there = SharedParameters(LAYOUT, 6, os.dup(here.file))
    for seat in range(SEATS):
        here.put_start(seat, some(seat))
        here.put_drift(seat, np.full(6, seat + 0.5, np.float32))
        there.put_made(seat, some(seat + 10))
    for seat in range(SEATS):
        assert there.start(seat).digest == some(seat).digest
        assert here.made(seat).digest == some(seat + 10).digest
        assert (there.drift(seat) == seat + 0.5).all()


def test_what_was_made_is_not_changed_by_what_comes_next():
    here = SharedParameters(LAYOUT, 6)
    here.put_made(0, some(1))
    made = here.made(0)
    here.put_made(0, some(2))
    assert made.digest == some(1).digest


def test_the_same_start_is_laid_down_once():
    here, first = SharedParameters(LAYOUT, 6), some(1)
    here.put_start(0, first)
    here.start(0).vectors["float64"][0] = -1.0
    here.put_start(0, first)
    assert here.start(0).vectors["float64"][0] == -1.0
    here.put_start(0, some(1))
    assert here.start(0).digest == first.digest

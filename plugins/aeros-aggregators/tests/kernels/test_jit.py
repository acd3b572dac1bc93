"""Kernels work without a place to keep them, and read-only arrays compile nothing anew."""

from __future__ import annotations

from aeros_aggregators.kernels import mean
from aeros_aggregators.kernels.jit import kernel
from aeros_aggregators.rules.fedavg import FedAvg


def test_compiles_in_memory_where_nothing_can_be_kept():
    made = {}
    exec("def double(x):\n    return 2 * x", made)  # has no file, so numba cannot cache it
    assert kernel(made["double"])(21) == 42


def test_read_only_vectors_take_the_same_machine_code(draw):
    start, rounds = draw(size=150_000, clients=4, rounds=1)
    FedAvg(personal=()).aggregate(start, rounds[0])
    before = len(mean.fold.signatures)
    for update in rounds[0][:2]:
        for vector in update.parameters.vectors.values():
            vector.flags.writeable = False
    FedAvg(personal=()).aggregate(start, rounds[0])
    assert len(mean.fold.signatures) == before

"""Networks sort and select: the zero-one principle, and random values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aeros_aggregators.kernels import sorting_network


def run(comparators, values):
    wires = list(values)
    for low, high, keeps_low, keeps_high in comparators:
        least, most = sorted((wires[low], wires[high]))
        wires[low] = least if keeps_low else None
        wires[high] = most if keeps_high else None
    return wires


@pytest.mark.parametrize("size", range(1, 12))
def test_sorts_all_zeros_and_ones(size):
    # Knuth, TAOCP 5.3.4, theorem Z: then it sorts everything
    comparators = list(sorting_network.sort(size))
    for values in itertools.product((0, 1), repeat=size):
        assert run(comparators, values) == sorted(values)


@pytest.mark.parametrize("size", [16, 33, 50, 100])
def test_sorts_random_values(size):
    values = np.random.default_rng(size).permutation(size).tolist()
    assert run(sorting_network.sort(size), values) == list(range(size))


@pytest.mark.parametrize("size", range(1, 11))
def test_brings_any_ranks_together(size):
    for cut in range((size + 1) // 2):
        kept = slice(cut, size - cut)
        comparators = sorting_network.select(size, cut, size - cut)
        for values in itertools.product((0, 1), repeat=size):
            assert sorted(run(comparators, values)[kept]) == sorted(values)[kept]


def test_sizes_are_those_of_batcher():
    # Knuth, TAOCP 5.3.4: comparators of the odd-even merge sort
    assert [len(list(sorting_network.sort(n))) for n in (2, 4, 8, 16)] == [1, 5, 19, 63]


def test_selecting_drops_what_nobody_asks_for():
    assert len(sorting_network.select(9, 4, 5)) < len(list(sorting_network.sort(9)))
    assert len(sorting_network.select(50, 5, 45)) < 0.8 * len(list(sorting_network.sort(50)))
    assert sorting_network.select(9, 0, 9) == []

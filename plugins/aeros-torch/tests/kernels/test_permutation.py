import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_torch.kernels.permutation import agrees, shuffle


@settings(deadline=None)
@given(
    seeds=st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=4),
    counts=st.lists(st.integers(1, 300), min_size=4, max_size=4),
    epochs=st.integers(1, 3),
)
def test_rows_come_in_the_order_of_numpys_generators(seeds, counts, epochs):
    counts = np.array(counts[: len(seeds)])
    rows = np.arange(counts.sum())[::-1].copy()
    out = np.empty(epochs * len(rows), np.int64)
    shuffle(out, rows, counts, np.array(seeds, np.uint64), epochs)
    expected = []
    for seed, mine in zip(seeds, np.split(rows, np.cumsum(counts)), strict=False):
        rng = np.random.default_rng(seed)
        expected += [mine[rng.permutation(len(mine))] for _ in range(epochs)]
    np.testing.assert_array_equal(out, np.concatenate(expected))


def test_agrees_with_this_numpy():
    assert agrees()

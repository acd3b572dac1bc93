import gc
import os

import numpy as np
import pytest

from aeros_torch.engines.processes.shared_memory import SharedMemory

KINDS = [("float32", (3, 5)), ("bool", (3,)), ("int64", ()), ("float64", (0,)), ("uint8", (70,))]


def test_both_ends_see_the_same_memory():
    one = SharedMemory(KINDS)
    other = SharedMemory(KINDS, os.dup(one.file))
    rng = np.random.default_rng(0)
    for array, (dtype, shape) in zip(one.arrays, KINDS, strict=True):
        assert (array.dtype.name, array.shape) == (dtype, shape)
        array[...] = rng.integers(0, 2, shape)
    for here, there in zip(one.arrays, other.arrays, strict=True):
        assert not np.shares_memory(here, there)
        np.testing.assert_array_equal(here, there)
    other.arrays[0][1, 2] = 7
    assert one.arrays[0][1, 2] == 7


def test_arrays_begin_where_vector_instructions_want_them():
    for array in SharedMemory(KINDS).arrays:
        assert array.ctypes.data % 64 == 0


def test_arrays_outlive_what_made_them_and_the_file_is_closed():
    shared = SharedMemory([("float32", (4,))])
    file, (array,) = shared.file, shared.arrays
    del shared
    gc.collect()
    with pytest.raises(OSError):  # noqa: PT011 - bad file descriptor
        os.fstat(file)
    array[...] = 3
    assert array.sum() == 12

"""Memory for results goes round, and never while anybody can still read it."""

from __future__ import annotations

import gc

import numpy as np
import pytest

from aeros_aggregators.arrays import buffer_pool
from aeros_aggregators.rules.fedavg import FedAvg
from aeros_core.messages import Update
from aeros_core.parameters import Parameters

SIZE = buffer_pool.LEAST // 4


@pytest.fixture(autouse=True)
def empty():
    """Start without buffers, and let nobody else's garbage give one back meanwhile."""
    gc.collect()
    gc.disable()
    buffer_pool._free.clear()
    yield
    buffer_pool._free.clear()
    gc.enable()


def address(array):
    return array.ctypes.data


def test_memory_nobody_refers_to_is_used_again():
    first = buffer_pool.take(SIZE, "float32")
    there = address(first)
    del first
    assert address(buffer_pool.take(SIZE, "float32")) == there


@pytest.mark.parametrize(
    "kept",
    [
        lambda array: array,
        lambda array: array[5:9],
        lambda array: array[::2].reshape(2, -1)[1],
        lambda array: array.view(np.uint8),
        memoryview,
        lambda array: np.asarray(memoryview(array)),
    ],
    ids=["itself", "slice", "view of views", "bytes", "memoryview", "array of a memoryview"],
)
def test_memory_is_not_used_while_a_view_is_alive(kept):
    array = buffer_pool.take(SIZE, "float32")
    there, view = address(array), kept(array)
    del array
    other = buffer_pool.take(SIZE, "float32")
    assert address(other) != there
    del view
    assert address(buffer_pool.take(SIZE, "float32")) == there


def test_torch_keeps_memory_alive_too():
    torch = pytest.importorskip("torch")
    array = buffer_pool.take(SIZE, "float32")
    there, tensor = address(array), torch.from_numpy(array)[3:]
    del array
    assert address(buffer_pool.take(SIZE, "float32")) != there
    assert tensor.numel() == SIZE - 3


def test_another_length_or_dtype_of_the_same_bytes():
    first = buffer_pool.take(SIZE, "float32")
    there = address(first)
    del first
    assert address(buffer_pool.take(2 * SIZE, "float32")) != there
    doubles = buffer_pool.take(SIZE // 2, "float64")
    assert address(doubles) == there
    assert doubles.shape == (SIZE // 2,)
    assert doubles.dtype == np.float64
    assert doubles.flags.writeable


def test_no_more_than_two_buffers_are_kept():
    taken = [buffer_pool.take(SIZE, "float32") for _ in range(5)]
    assert len({address(array) for array in taken}) == 5
    taken.clear()
    assert len(buffer_pool._free) == buffer_pool.KEPT


def test_short_vectors_have_memory_of_their_own():
    assert buffer_pool.take(SIZE - 1, "float32").base is None


def test_rounds_use_two_results_in_turn():
    rule, here, places = FedAvg(personal=()), Parameters.of({"w": np.zeros(SIZE, np.float32)}), []
    for number in range(6):
        sent = Parameters.of({"w": np.full(SIZE, number, np.float32)})
        here = rule.aggregate(here, [Update("a", 1, sent, 1)])
        assert here.vector[0] == number
        places.append(address(here.vector))
    assert len(set(places[1:])) == 2

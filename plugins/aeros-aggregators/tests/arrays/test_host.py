"""Vectors come to the host as kernels want them."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_aggregators.arrays import host
from aeros_aggregators.rules.fedavg import FedAvg
from aeros_core.messages import Update
from aeros_core.parameters import Parameters


@pytest.mark.parametrize(
    ("dtype", "working"),
    [
        ("float16", "float32"),
        ("float32", "float32"),
        ("float64", "float64"),
        ("int64", "float64"),
        ("bool", "float64"),
    ],
)
def test_working_dtype(dtype, working):
    assert host.working(dtype) == working


def test_host_copies_only_where_it_must():
    vector = np.arange(6, dtype=np.float32)
    assert np.shares_memory(host.host(vector, "float32"), vector)
    strided = host.host(vector[::2], "float32")
    assert strided.flags.c_contiguous
    assert strided.tolist() == [0.0, 2.0, 4.0]
    assert host.host(vector, "float64").dtype == np.float64


class Foreign:
    """An array of another library, which speaks DLPack and has a length."""

    def __init__(self, array):
        self._array = array
        self.shape = array.shape

    def __len__(self):
        return len(self._array)

    def __dlpack__(self, **options):
        return self._array.__dlpack__(**options)

    def __dlpack_device__(self):
        return self._array.__dlpack_device__()


def test_arrays_of_other_libraries_are_read_in_place():
    start = Parameters.of({"w": np.zeros(3, np.float32)})
    foreign = Foreign(np.array([1.0, 2.0, 3.0], np.float32))
    update = Update("a", 1, Parameters(start.layout, {"float32": foreign}), 5)
    assert FedAvg(personal=()).aggregate(start, [update])["w"].tolist() == [1.0, 2.0, 3.0]


def test_integers_are_stored_rounded():
    stored = host.stored(np.array([0.6, -1.4, 2.5]), "int64")
    assert stored.dtype == np.int64
    assert stored.tolist() == [1, -1, 2]

"""The core's weighted mean against federated averaging of aeros-aggregators."""

import numpy as np
import pytest

from aeros_aggregators.rules.fedavg import FedAvg
from aeros_core import (
    Encoded,
    Parameters,
    Update,
    discover,
    is_real,
    load_config,
    plain_config,
    weighted_mean,
)
from aeros_core.config.build import build_codec
from aeros_core.numerics.dtypes import AVERAGED

CODECS = ("bfloat16", "float16", "int8", "topk", "randomk")


def drawn(rng, size):
    """Return parameters of every dtype that rules average."""
    tensors = {}
    for dtype in AVERAGED:
        values = rng.standard_normal(size) if is_real(dtype) else rng.integers(0, 100, size)
        tensors[dtype] = (values > 50 if dtype == "bool" else values).astype(dtype)
    return Parameters.of(tensors)


def sent(start, trained, way):
    """Return an update that is whole or a difference."""
    if way == "whole":
        return trained, False
    vectors = {d: v - start.vectors[d] if is_real(d) else v for d, v in trained.vectors.items()}
    return Parameters(start.layout, vectors), True


def close(here, there):
    for dtype, vector in here.vectors.items():
        other = np.asarray(there.vectors[dtype])
        assert other.dtype == vector.dtype
        if is_real(dtype):
            tiny = np.finfo(dtype).eps
            np.testing.assert_allclose(vector, other, rtol=4 * tiny, atol=4 * tiny, err_msg=dtype)
        else:
            np.testing.assert_array_equal(vector, other, err_msg=dtype)


@pytest.mark.parametrize("ways", [("whole",), ("delta",), ("whole", "delta")], ids="+".join)
@pytest.mark.parametrize("size", [3, 2**17 + 3])  # by numpy, and by compiled kernels
def test_it_is_federated_averaging_in_every_dtype(size, ways):
    rng = np.random.default_rng(0)
    start, updates = drawn(rng, size), []
    for i in range(5):
        parameters, delta = sent(start, drawn(rng, size), ways[i % len(ways)])
        updates.append(Update(f"n{i}", 1, parameters, int(rng.integers(1, 99)), delta=delta))
    close(weighted_mean(start, updates), FedAvg(personal=[]).aggregate(start, updates))


@pytest.mark.parametrize("name", CODECS)
def test_it_is_federated_averaging_of_compressed_updates(name):
    registry = discover()
    cfg = plain_config(load_config([f"collector/codec={name}"], registry))
    codec = build_codec(registry, cfg)
    rng = np.random.default_rng(1)
    start, updates = Parameters.of({"w": np.zeros(5000, "float32")}), []
    for i in range(4):
        change = Parameters.of({"w": rng.standard_normal(5000).astype("float32")})
        coded, _ = codec.encode(change, None, np.random.default_rng(i))
        assert isinstance(coded, Encoded)
        updates.append(Update(f"n{i}", 1, Parameters(start.layout, coded), i + 1, delta=True))
    close(weighted_mean(start, updates), FedAvg(personal=[]).aggregate(start, updates))

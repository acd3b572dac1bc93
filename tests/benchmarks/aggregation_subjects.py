"""What the benchmark of aggregation compares: vectors, bare memory, and flwr's own steps."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from aeros_aggregators.arrays import parallel
from aeros_aggregators.kernels.memory import view
from aeros_aggregators.reduction.server_steps import ServerStep, Step
from aeros_core.messages import Update
from aeros_core.parameters import Layout, Parameters

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import flwr.serverapp.strategy as current
    from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters

Vectors = list[NDArray[np.float32]]


def draw(count: int, length: int) -> Vectors:
    """Return vectors that lie about one common point, as updates do."""
    rng = np.random.default_rng(0)
    base = rng.standard_normal(length, dtype=np.float32)
    noise = rng.standard_normal(2 * length, dtype=np.float32)
    shifts = rng.integers(0, length, count)
    return [base + np.float32(0.1) * noise[s : s + length] for s in shifts]


def as_updates(vectors: Vectors) -> tuple[Parameters, list[Update]]:
    layout = Layout.of({"w": (vectors[0].shape, "float32")})
    made = [Parameters(layout, {"float32": v}) for v in vectors]
    return made[0], [Update(f"node-{i}", 1, p, 10 + i) for i, p in enumerate(made)]


def as_records(vectors: Vectors, examples: Sequence[int]) -> list[RecordDict]:
    return [
        RecordDict({"arrays": ArrayRecord({"w": Array(v)}), "metrics": MetricRecord({"n": n})})
        for v, n in zip(vectors, examples, strict=True)
    ]


def as_results(vectors: Vectors, examples: Sequence[int]) -> list[tuple[Any, FitRes]]:
    status = Status(Code.OK, "")
    return [
        (None, FitRes(status, ndarrays_to_parameters([v]), n, {}))
        for v, n in zip(vectors, examples, strict=True)
    ]


def numpy_mean(vectors: Vectors, examples: Sequence[int]) -> NDArray[np.float32]:
    total, buffer = np.zeros_like(vectors[0]), np.empty_like(vectors[0])
    for vector, weight in zip(vectors, examples, strict=True):
        np.multiply(vector, np.float32(weight), out=buffer)
        total += buffer
    total /= np.float32(sum(examples))
    return total


def torch_mean(vectors: Vectors, examples: Sequence[int]) -> torch.Tensor:
    total = torch.zeros(vectors[0].size)
    for vector, weight in zip(vectors, examples, strict=True):
        total.add_(torch.from_numpy(vector), alpha=weight)
    return total.div_(sum(examples))


def gram(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return rows @ rows.T


@numba.njit(nogil=True, fastmath=True)
def total_of(vector: Any) -> Any:
    total = vector.dtype.type(0)
    for i in range(vector.size):
        total += vector[i]
    return total


@numba.njit(nogil=True)
def read(totals: Any, like: Any, table: Any, start: int, stop: int) -> None:
    for low in range(start, stop, 4096):
        for k in range(table.size):
            totals[k] += total_of(view(table[k], low, min(4096, stop - low), like))


@numba.njit(nogil=True)
def copy(to: Any, source: Any, start: int, stop: int) -> None:
    for i in range(stop - start):
        to[start + i] = source[start + i]


def kernel(vectors: Vectors, weights: Sequence[float], step: Step) -> Callable[[], None]:
    """Return a call of a step alone: a collector returns fresh memory, which costs as well."""
    out, total = np.empty_like(vectors[0]), np.empty(vectors[0].size)
    weight = float(sum(weights))
    term = ServerStep("float32", out, vectors[0], total, vectors, weights, True, weight, 1.0)
    return lambda: step(term)


def reader(vectors: Vectors) -> Callable[[], None]:
    """Return a call that reads every vector once, with every thread."""
    table = np.array([v.ctypes.data for v in vectors], np.int64)
    totals, like = np.zeros(len(vectors)), np.empty(0, np.float32)
    return lambda: parallel.spread(read, vectors[0].size, totals, like, table)


def copier(vector: NDArray[np.float32], times: float) -> Callable[[], None]:
    """Return a call that copies a vector so many times, with every thread."""
    source = np.tile(vector, int(np.ceil(times)))[: int(times * vector.size)]
    to = np.empty_like(source)
    return lambda: parallel.spread(copy, source.size, to, source)


@numba.njit(nogil=True, fastmath={"reassoc", "contract"})
def add_four(out: Any, a: Any, b: Any, c: Any, d: Any, weight: Any) -> None:
    for i in range(out.size):
        out[i] += weight * ((a[i] + b[i]) + (c[i] + d[i]))


@numba.njit(nogil=True, fastmath={"reassoc", "contract"})
def add_one(out: Any, a: Any, weight: Any) -> None:
    for i in range(out.size):
        out[i] += weight * a[i]


@numba.njit(nogil=True)
def float32_mean(out: Any, table: Any, weight: Any, start: int, stop: int) -> None:
    """Do what the plugin's mean does, all weights alike, with sums of float32."""
    for low in range(start, stop, 4096):
        n = min(4096, stop - low)
        block = out[low : low + n]
        for i in range(n):
            block[i] = 0.0
        for k in range(0, table.size // 4 * 4, 4):
            add_four(
                block,
                view(table[k], low, n, out),
                view(table[k + 1], low, n, out),
                view(table[k + 2], low, n, out),
                view(table[k + 3], low, n, out),
                weight,
            )
        for k in range(table.size // 4 * 4, table.size):
            add_one(block, view(table[k], low, n, out), weight)


def in_float32(vectors: Vectors) -> Callable[[], None]:
    """Return a call of a fused mean whose sums are float32, all else the same."""
    table, out = np.array([v.ctypes.data for v in vectors], np.int64), np.empty_like(vectors[0])
    weight = np.float32(1.0 / len(vectors))
    return lambda: parallel.spread(float32_mean, out.size, out, table, weight)


def flower_step(name: str, vectors: Vectors) -> Callable[[], object]:
    """Return a call of a strategy's step alone, its mean made before."""
    strategy = getattr(current, name)()
    strategy.current_arrays = {"w": vectors[0]}
    mean = ArrayRecord({"w": Array(vectors[1])})

    def step() -> object:
        kept = current.FedAvg.aggregate_train
        current.FedAvg.aggregate_train = lambda *_: (mean, None)
        try:
            return strategy.aggregate_train(1, [])
        finally:
            current.FedAvg.aggregate_train = kept

    return step


def rounds_of(rule: Any, start: Parameters, updates: list[Update]) -> Callable[[], object]:
    return lambda: rule.aggregate(start, updates)


def size(vectors: Vectors) -> str:
    return f"{vectors[0].size / 1e6:g} M"

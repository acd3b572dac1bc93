"""Aggregation rules beside their peers and the machine's own memory.

    python tests/benchmarks/aggregation.py [--quick] [--json FILE] [--only WORD]

The subjects of one work take turns. A ratio is the time of the first subject of the work
over the subject's own; where the first subject reads the same updates once and does
nothing with them, 0.8 is 80 % of the speed of memory. flwr is called as its strategies
call it, with its own messages where they are part of the work.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import NDArray

from aeros_aggregators import distance, order, threads
from aeros_aggregators.adaptive import FedAdam
from aeros_aggregators.kernels.arguments import Decay
from aeros_aggregators.kernels.memory import view
from aeros_aggregators.linear import FedAvg
from aeros_aggregators.steps import Step, Term, average
from aeros_aggregators.steps import adam as adam_step
from aeros_core.messages import Update
from aeros_core.parameters import Layout, Parameters

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import flwr.server.strategy.aggregate as legacy
    import flwr.serverapp.strategy as current
    from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
    from flwr.serverapp.strategy.multikrum import compute_distances
    from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords

PACKAGES = ("aeros-aggregators", "numba", "numpy", "torch", "flwr")
PATIENCE = 5_000.0
"""Milliseconds after which a subject takes no more turns."""

ADAM = {"beta1": 0.9, "beta2": 0.99, "tau": 1e-3}

Vectors = list[NDArray[np.float32]]
Subjects = dict[str, Callable[[], object]]
Work = tuple[str, Subjects, int]


def main() -> None:
    options = arguments()
    scale = 10 if options.quick else 1
    rows: list[dict[str, Any]] = []
    for make in (means, steps, orders, distances, small_rounds, starts):
        if options.only in make.__name__:
            for work, subjects, nbytes in make(scale):
                rows += measure(work, subjects, nbytes, repeats=3 if options.quick else 7)
    if options.only in "peak_memory":
        rows += peak_memory(scale)
    if options.json:
        document = {"machine": machine(), "versions": versions(), "rows": rows}
        Path(options.json).write_text(json.dumps(document, indent=1))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, few repeats")
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    parser.add_argument("--only", metavar="WORD", default="", help="the works whose name has it")
    options = parser.parse_args()
    print(f"{machine()}\n{', '.join(f'{k} {v}' for k, v in versions().items())}\n")
    print(f"{'work':24} {'subject':30} {'median ms':>10} {'ratio':>6} {'GB/s':>6}")
    return options


def means(scale: int) -> Iterator[Work]:
    """Weighted means of 10 and 50 updates of 10 M float32."""
    for count in (10, 50):
        vectors = draw(count, 10_000_000 // scale)
        start, updates = as_updates(vectors)
        examples = [update.examples for update in updates]
        collector = FedAvg(personal=())
        replies = [(([v]), n) for v, n in zip(vectors, examples, strict=True)]
        records = as_records(vectors, examples)
        yield (
            f"mean {count} x {size(vectors)}",
            {
                "read once": reader(vectors),
                "aeros fedavg": lambda c=collector, s=start, u=updates: c.aggregate(s, iter(u)),
                "aeros, into mapped memory": kernel(vectors, examples, average),
                "torch add_": lambda v=vectors, n=examples: torch_mean(v, n),
                "numpy multiply, add": lambda v=vectors, n=examples: numpy_mean(v, n),
                "flwr aggregate (legacy)": lambda r=replies: legacy.aggregate(r),
                "flwr aggregate_arrayrecords": lambda r=records: aggregate_arrayrecords(r, "n"),
            },
            sum(v.nbytes for v in vectors),
        )


def steps(scale: int) -> Iterator[Work]:
    """A round of FedAdam with one update: the step costs more than the mean."""
    vectors = draw(2, 10_000_000 // scale)
    start, updates = as_updates(vectors)
    adam = FedAdam(server_lr=0.1, **ADAM, personal=())
    model = torch.from_numpy(vectors[0].copy())
    model.grad = torch.from_numpy(vectors[1])
    optimizer = torch.optim.Adam([model], fused=True)
    strategy = current.FedAdam()
    strategy.current_arrays = {"w": vectors[0]}
    reply = as_records(vectors[1:], [1])[0]
    first, second = np.zeros_like(vectors[0]), np.zeros_like(vectors[0])

    def step(term: Term) -> None:
        adam_step(term, first, second, Decay(0.9, 0.99, 0.1, 1e-3))

    def flower() -> None:
        arrays = aggregate_arrayrecords([reply], "n")
        delta, m, _ = strategy._compute_deltat_and_mt(arrays)
        v = 0.99 * second + 0.01 * delta["w"] ** 2
        vectors[0] + 0.1 * m["w"] / (np.sqrt(v) + 1e-3)

    def in_numpy() -> None:
        change = vectors[1] - vectors[0]
        first[:] = 0.9 * first + 0.1 * change
        second[:] = 0.99 * second + 0.01 * change * change
        vectors[0] + 0.1 * first / (np.sqrt(second) + 1e-3)

    yield (
        f"fedadam {size(vectors)}",
        {
            # update, parameters and both moments read; both moments and the result written
            "copy as much": copier(vectors[0], 3.5),
            "aeros fedadam": lambda: adam.aggregate(start, updates[1:]),
            "aeros, into mapped memory": kernel(vectors[:1], [1], step),
            "torch fused Adam": optimizer.step,
            "numpy": in_numpy,
            "flwr FedAdam": flower,
        },
        7 * vectors[0].nbytes,
    )


def orders(scale: int) -> Iterator[Work]:
    """Median and trimmed mean of 10, 50 and 100 updates."""
    for count, length in ((10, 10_000_000), (50, 2_000_000), (100, 1_000_000)):
        vectors = draw(count, length // scale)
        nbytes, tenth = sum(v.nbytes for v in vectors), count // 10
        yield (
            f"median {count} x {size(vectors)}",
            {
                "read once": reader(vectors),
                "aeros median": lambda v=vectors, n=count: order.middle(v, (n - 1) // 2),
                "np.sort, middle": lambda v=vectors: np.sort(np.stack(v), axis=0)[len(v) // 2],
                "torch sort": lambda v=vectors: torch.from_numpy(np.stack(v)).sort(dim=0),
                "flwr (np.median)": lambda v=vectors: legacy.aggregate_median(
                    [([x], 1) for x in v]
                ),
            },
            nbytes,
        )
        yield (
            f"trimmed mean {count} x {size(vectors)}",
            {
                "read once": reader(vectors),
                "aeros trimmed_mean": lambda v=vectors, n=tenth: order.middle(v, n),
                "flwr (np.partition)": lambda v=vectors: legacy._trim_mean(np.stack(v), 0.1),
            },
            nbytes,
        )


def distances(scale: int) -> Iterator[Work]:
    """Squared distances of all pairs of 10 and 50 updates, as Krum needs them."""
    for count, length in ((10, 10_000_000), (50, 2_000_000)):
        vectors = draw(count, length // scale)
        rows = np.stack(vectors)
        records = [record["arrays"] for record in as_records(vectors, [1] * count)]
        yield (
            f"distances {count} x {size(vectors)}",
            {
                "BLAS Gram matrix": lambda r=rows: r @ r.T,
                "aeros pairs": lambda v=vectors: distance.pairs(v),
                "centred Gram matrix": lambda r=rows: gram(r - r.mean(axis=0)),
                "flwr (Gram)": lambda r=records: compute_distances(r),
                "flwr legacy": lambda v=vectors: legacy._compute_distances([[x] for x in v]),
            },
            rows.nbytes,
        )


def small_rounds(scale: int) -> Iterator[Work]:
    """A round of a small model, where calls cost more than numbers."""
    vectors = draw(10, 20_000)
    start, updates = as_updates(vectors)
    collector, examples = FedAvg(personal=()), [update.examples for update in updates]
    records = as_records(vectors, examples)
    replies = [([v], n) for v, n in zip(vectors, examples, strict=True)]
    yield (
        "mean 10 x 20 k",
        {
            "numpy multiply, add": lambda: numpy_mean(vectors, examples),
            "aeros fedavg": lambda: collector.aggregate(start, iter(updates)),
            "flwr aggregate (legacy)": lambda: legacy.aggregate(replies),
            "flwr aggregate_arrayrecords": lambda: aggregate_arrayrecords(records, "n"),
        },
        sum(v.nbytes for v in vectors),
    )


def starts(scale: int) -> Iterator[Work]:
    """From an empty process to the end of the first round, kernels kept on disk."""
    code = (
        "import numpy as np;"
        "from aeros_core.messages import Update;from aeros_core.parameters import Parameters;"
        "from aeros_aggregators.linear import FedAvg;"
        "p = Parameters.of({{'w': np.ones({0}, np.float32)}});"
        "FedAvg().aggregate(p, [Update('a', 1, p, 1)])"
    )
    programs = {
        "import numpy": "import numpy",
        "aeros fedavg, small model": code.format(1000),
        "aeros fedavg, large model": code.format(1_000_000),
        "import numba": "import numba",
        "import torch": "import torch",
        "import flwr.serverapp": "import flwr.serverapp",
    }
    yield (
        "start to first round",
        {name: lambda p=program: python(p) for name, program in programs.items()},
        0,
    )


def peak_memory(scale: int) -> list[dict[str, Any]]:
    """Memory that a round takes beside the parameters, in models, by number of clients."""
    code = """
import sys
import numpy as np
from aeros_aggregators.linear import FedAvg
from aeros_core.messages import Update
from aeros_core.parameters import Layout, Parameters
count, size = int(sys.argv[1]), int(sys.argv[2])
layout = Layout.of({"w": ((size,), "float32")})
def model(value):
    return Parameters(layout, {"float32": np.full(size, value, np.float32)})
def resident(field):
    with open("/proc/self/status") as file:
        return next(1024 * int(line.split()[1]) for line in file if line.startswith(field))
FedAvg(personal=()).aggregate(model(0), [Update("a", 1, model(1), 1)])
start = model(0)
before = resident("VmRSS")
FedAvg(personal=()).aggregate(start, (Update(f"{i}", 1, model(i), 1) for i in range(count)))
print((resident("VmHWM") - before) / layout.nbytes)
"""
    rows = []
    for count in (2, 20, 200, 2000 // scale):
        models = float(python(code, str(count), "20000000"))
        row = {"work": "peak memory", "subject": f"{count} clients", "models": models}
        print("{work:24} {subject:30} {models:10.1f} models beside the parameters".format(**row))
        rows.append(row)
    return rows


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


def flower_median(vectors: Vectors) -> object:
    return legacy.aggregate_median([([vector], 1) for vector in vectors])


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
    term = Term("float32", out, vectors[0], total, vectors, weights, True, weight, 1.0)
    return lambda: step(term)


def reader(vectors: Vectors) -> Callable[[], None]:
    """Return a call that reads every vector once, with every thread."""
    table = np.array([v.ctypes.data for v in vectors], np.int64)
    totals, like = np.zeros(len(vectors)), np.empty(0, np.float32)
    return lambda: threads.spread(read, vectors[0].size, totals, like, table)


def copier(vector: NDArray[np.float32], times: float) -> Callable[[], None]:
    """Return a call that copies a vector so many times, with every thread."""
    source = np.tile(vector, int(np.ceil(times)))[: int(times * vector.size)]
    to = np.empty_like(source)
    return lambda: threads.spread(copy, source.size, to, source)


def python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measure(work: str, subjects: Subjects, nbytes: int, repeats: int) -> list[dict[str, Any]]:
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for turn in range(repeats + 1):
        for name, call in subjects.items():
            if sum(times[name]) > PATIENCE:
                continue
            start = time.perf_counter()
            call()
            if turn:  # the first turn warms up
                times[name].append((time.perf_counter() - start) * 1e3)
    medians = {name: statistics.median(all_) for name, all_ in times.items()}
    first, rows = next(iter(medians.values())), []
    for name, ms in medians.items():
        row = {"work": work, "subject": name, "median_ms": ms, "ratio": first / ms}
        row["gb_per_s"] = nbytes / ms / 1e6
        print("{work:24} {subject:30} {median_ms:10.2f} {ratio:6.2f} {gb_per_s:6.1f}".format(**row))
        rows.append(row)
    return rows


def size(vectors: Vectors) -> str:
    return f"{vectors[0].size / 1e6:g} M"


def machine() -> str:
    return f"{platform.machine()}, {os.cpu_count()} cores, {platform.platform(terse=True)}"


def versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


if __name__ == "__main__":
    main()

"""Aggregation rules beside their peers and the machine's own memory.

    python tests/benchmarks/aggregation.py [--quick] [--json FILE] [--only WORD]

The subjects of one work take turns. A ratio is the time of the first subject of the work
over the subject's own; where the first subject reads the same updates once and does
nothing with them, 0.8 is 80 % of the speed of memory. Below each work stand its goals.
flwr is called as its strategies call it, with its own messages where they are part of
the work.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import table
import torch
from aggregation_codecs import codecs, encodings
from aggregation_processes import peak_memory, starts
from aggregation_subjects import (
    as_records,
    as_results,
    as_updates,
    copier,
    draw,
    flower_step,
    gram,
    in_float32,
    kernel,
    numpy_mean,
    reader,
    rounds_of,
    size,
    torch_mean,
)
from table import Goal, Row, Work

from aeros_aggregators.kernels.arguments import Decay
from aeros_aggregators.reduction import distances as reduction_distances
from aeros_aggregators.reduction import order_statistics
from aeros_aggregators.reduction.server_steps import ServerStep, average
from aeros_aggregators.reduction.server_steps import adam as adam_step
from aeros_aggregators.rules.adaptive import FedAdam
from aeros_aggregators.rules.fedavg import FedAvg

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import flwr.server.strategy.aggregate as legacy
    from flwr.serverapp.strategy.multikrum import compute_distances
    from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords

PACKAGES = ("aeros-aggregators", "numba", "numpy", "torch", "flwr")
ADAM: dict[str, Any] = {"beta1": 0.9, "beta2": 0.99, "tau": 1e-3}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of the size, few repeats")
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    parser.add_argument("--only", metavar="WORD", default="", help="the works whose name has it")
    options = parser.parse_args()
    scale = 10 if options.quick else 1
    rows: list[Row] = []
    table.heading(PACKAGES)
    for make in (means, streams, steps, orders, distances, codecs, encodings, small_rounds, starts):
        if options.only in make.__name__:
            for work in make(scale):
                rows += table.run(work, 3 if options.quick else 7)
    if options.only in "peak_memory":
        rows += peak_memory(scale)
    table.write(options.json, rows, PACKAGES)


def means(scale: int) -> Iterator[Work]:
    """Weighted means of 10, 50 and 100 resident updates of 10 M float32."""
    for count in (10, 50, 100):
        vectors = draw(count, 10_000_000 // scale)
        start, updates = as_updates(vectors)
        examples = [update.examples for update in updates]
        subjects: dict[str, Callable[[], object]] = {
            "read once": reader(vectors),
            "aeros fedavg": rounds_of(FedAvg(personal=()), start, updates),
            "aeros, into mapped memory": kernel(vectors, examples, average),
            "the same with float32 sums": in_float32(vectors),
            "torch add_": lambda v=vectors, n=examples: torch_mean(v, n),
        }
        goals = [Goal("aeros fedavg", 0.8, ("read once",))]
        if count >= 50:
            goals.append(Goal("aeros fedavg", 0.75, ("the same with float32 sums",)))
        if count < 100:  # flwr holds every update twice over
            replies = [([v], n) for v, n in zip(vectors, examples, strict=True)]
            results, records = as_results(vectors, examples), as_records(vectors, examples)
            subjects |= {
                "numpy multiply, add": lambda v=vectors, n=examples: numpy_mean(v, n),
                "flwr aggregate (legacy)": lambda r=replies: legacy.aggregate(r),
                "flwr aggregate_inplace (legacy)": lambda r=results: legacy.aggregate_inplace(r),
                "flwr aggregate_arrayrecords": lambda r=records: aggregate_arrayrecords(r, "n"),
            }
            times = 9.0 if count == 10 else 6.0
            goals += [
                Goal("aeros fedavg", times, ("flwr aggregate_arrayrecords",)),
                Goal("aeros fedavg", 20.0, ("flwr aggregate (legacy)",)),
                Goal("aeros fedavg", 20.0, ("flwr aggregate_inplace (legacy)",)),
            ]
        name = f"mean {count} x {size(vectors)}"
        yield Work.of(name, subjects, sum(v.nbytes for v in vectors), goals)


def streams(scale: int) -> Iterator[Work]:
    """Updates that come one by one and are let go, beside the same held in a list."""
    vectors = draw(50, 10_000_000 // scale)
    start, updates = as_updates(vectors)
    fused, streaming = FedAvg(personal=()), FedAvg(personal=())
    yield Work.of(
        f"arrivals 50 x {size(vectors)}",
        {
            "read once": reader(vectors),
            "aeros fedavg, a list": rounds_of(fused, start, updates),
            "aeros fedavg, arrivals": lambda: streaming.aggregate(start, iter(updates)),
        },
        sum(v.nbytes for v in vectors),
        [Goal("aeros fedavg, arrivals", 0.85, ("aeros fedavg, a list",))],
    )


def steps(scale: int) -> Iterator[Work]:
    """The server's step alone: from the mean of the updates to the next parameters."""
    vectors = draw(2, 10_000_000 // scale)
    start, updates = as_updates(vectors)
    first, second = np.zeros_like(vectors[0]), np.zeros_like(vectors[0])
    decay = Decay(0.9, 0.99, 0.1, 1e-3, bounded=False)
    model = torch.from_numpy(vectors[0].copy())
    model.grad = torch.from_numpy(vectors[1])
    optimizer = torch.optim.Adam([model], fused=True)
    rule = FedAdam(server_lr=0.1, **ADAM, personal=())

    def adam(term: ServerStep) -> None:
        adam_step(term, first, second, decay)

    def yogi(term: ServerStep) -> None:
        adam_step(term, first, second, decay._replace(bounded=True))

    def in_numpy() -> None:
        change = vectors[1] - vectors[0]
        first[:] = 0.9 * first + 0.1 * change
        second[:] = 0.99 * second + 0.01 * change * change
        vectors[0] + 0.1 * first / (np.sqrt(second) + 1e-3)

    for name, step in (("FedAdam", adam), ("FedYogi", yogi)):
        yield Work.of(
            f"{name} step {size(vectors)}",
            {
                # update, parameters and both moments read; both moments and the result written
                "copy as much": copier(vectors[0], 3.5),
                "aeros step": kernel(vectors[1:], [1], step),
                "aeros round of one update": rounds_of(rule, start, updates[1:]),
                "torch fused Adam": optimizer.step,
                "numpy": in_numpy,
                "flwr step": flower_step(name, vectors),
            },
            7 * vectors[0].nbytes,
            [
                Goal("aeros step", 0.8, ("copy as much",)),
                Goal("aeros step", 20.0, ("flwr step",)),
            ],
        )


def orders(scale: int) -> Iterator[Work]:
    """Median and trimmed mean of 10, 50 and 100 updates."""
    for count, length in ((10, 10_000_000), (50, 2_000_000), (100, 1_000_000)):
        vectors = draw(count, length // scale)
        peers = {
            "np.sort, middle": lambda v=vectors: np.sort(np.stack(v), axis=0)[len(v) // 2],
            "torch sort": lambda v=vectors: torch.from_numpy(np.stack(v)).sort(dim=0),
        }
        flower = {
            "median": lambda v=vectors: legacy.aggregate_median([([x], 1) for x in v]),
            "trimmed mean": lambda v=vectors: legacy._trim_mean(np.stack(v), 0.1),
        }
        for name, cut in (("median", (count - 1) // 2), ("trimmed mean", count // 10)):
            goals = [Goal("aeros", {10: 50.0, 50: 30.0, 100: 4.0}[count], ("flwr",))]
            if count == 10:
                goals.append(Goal("aeros", 0.6, ("read once",)))
            else:
                goals.append(Goal("aeros", 5.0 if count == 50 else 4.0, tuple(peers)))
            subjects = {
                "read once": reader(vectors),
                "aeros": lambda v=vectors, n=cut: order_statistics.trimmed_mean(v, n),
                **peers,
                "flwr": flower[name],
            }
            nbytes = sum(v.nbytes for v in vectors)
            yield Work.of(f"{name} {count} x {size(vectors)}", subjects, nbytes, goals)


def distances(scale: int) -> Iterator[Work]:
    """Squared distances of all pairs of 10 and 50 updates, as Krum needs them."""
    for count, length in ((10, 10_000_000), (50, 2_000_000)):
        vectors = draw(count, length // scale)
        rows = np.stack(vectors)
        tensor = torch.from_numpy(rows)
        records = [record["arrays"] for record in as_records(vectors, [1] * count)]
        yield Work.of(
            f"distances {count} x {size(vectors)}",
            {
                "OpenBLAS Gram matrix": lambda r=rows: r @ r.T,
                "MKL Gram matrix": lambda t=tensor: t @ t.T,
                "aeros pairs": lambda v=vectors: reduction_distances.pairs(v),
                "centred Gram matrix": lambda r=rows: gram(r - r.mean(axis=0)),
                "flwr (Gram)": lambda r=records: compute_distances(r),
                "flwr legacy": lambda v=vectors: legacy._compute_distances([[x] for x in v]),
            },
            rows.nbytes,
            [
                Goal(
                    "aeros pairs",
                    3.0 if count == 10 else 1.3,
                    ("OpenBLAS Gram matrix", "MKL Gram matrix"),
                ),
                Goal("aeros pairs", 40.0, ("flwr legacy",)),
                Goal("aeros pairs", 40.0, ("flwr (Gram)",)),
            ],
        )


def small_rounds(scale: int) -> Iterator[Work]:
    """A round of a small model, where calls cost more than numbers."""
    vectors = draw(10, 20_000)
    start, updates = as_updates(vectors)
    examples = [update.examples for update in updates]
    records = as_records(vectors, examples)
    replies = [([v], n) for v, n in zip(vectors, examples, strict=True)]
    yield Work.of(
        "mean 10 x 20 k",
        {
            "numpy multiply, add": lambda: numpy_mean(vectors, examples),
            "aeros fedavg": rounds_of(FedAvg(personal=()), start, updates),
            "flwr aggregate (legacy)": lambda: legacy.aggregate(replies),
            "flwr aggregate_arrayrecords": lambda: aggregate_arrayrecords(records, "n"),
        },
        sum(v.nbytes for v in vectors),
    )


if __name__ == "__main__":
    main()

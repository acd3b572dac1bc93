"""numpy for small vectors and kernels for large ones give the same bits."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from aeros_aggregators.kernels import numpy_kernels
from aeros_aggregators.rules.adaptive import FedAdagrad, FedAdam, FedYogi
from aeros_aggregators.rules.fedavg import FedAvg, FedAvgM
from aeros_aggregators.rules.krum import Bulyan
from aeros_aggregators.rules.robust import Median, TrimmedMean

RULES = {
    "fedavg": lambda: FedAvg(personal=()),
    "fedavgm": lambda: FedAvgM(server_lr=0.7, momentum=0.9, personal=()),
    "fedadam": lambda: FedAdam(server_lr=0.1, beta1=0.9, beta2=0.99, tau=1e-3, personal=()),
    "fedyogi": lambda: FedYogi(server_lr=0.1, beta1=0.9, beta2=0.99, tau=1e-3, personal=()),
    "fedadagrad": lambda: FedAdagrad(server_lr=0.1, tau=1e-3, personal=()),
    "median": lambda: Median(personal=()),
    "trimmed_mean": lambda: TrimmedMean(trim=0.1, personal=()),
    "bulyan": lambda: Bulyan(byzantine=0, personal=()),
}


def digests(rule, start, rounds):
    collector, here, results = RULES[rule](), start, []
    for updates in rounds:
        here = collector.aggregate(here, updates)
        results.append(here.digest)
    return results


CASES = [(r, d) for r in RULES for d in ("float16", "float32", "float64", "int64")]
CASES.remove(("trimmed_mean", "float64"))  # the values kept are added up in another order


@pytest.mark.parametrize(("rule", "dtype"), CASES)
@pytest.mark.parametrize(("size", "clients"), [(5, 9), (4099, 10)])
def test_kernels_give_the_bits_of_numpy(monkeypatch, draw, rule, dtype, size, clients):
    start, rounds = draw(dtype=dtype, size=size, clients=clients)
    expected = digests(rule, start, rounds)
    monkeypatch.setattr(numpy_kernels, "SMALL", 0)
    assert digests(rule, start, rounds) == expected


def test_a_small_model_never_loads_numba():
    code = """
import sys
import numpy as np
from aeros_aggregators.rules.adaptive import FedAdam
from aeros_aggregators.rules.fedavg import FedAvg
from aeros_aggregators.rules.robust import Median
from aeros_core.messages import Update
from aeros_core.parameters import Parameters
start = Parameters.of({"w": np.zeros(1000, np.float32)})
updates = [Update(f"n{i}", 1, Parameters.of({"w": np.ones(1000, np.float32)}), 1) for i in range(9)]
adam = FedAdam(server_lr=0.1, beta1=0.9, beta2=0.99, tau=1e-3, personal=())
for collector in (FedAvg(personal=()), Median(personal=()), adam):
    assert collector.aggregate(start, updates)["w"].any()
print(sorted({m.partition(".")[0] for m in sys.modules} & {"numba", "llvmlite", "torch", "scipy"}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_middle_of_numpy_is_the_median():
    rows = list(np.random.default_rng(0).standard_normal((8, 100)))
    out = np.empty(100)
    numpy_kernels.trimmed_mean(out, rows, 3)
    np.testing.assert_array_equal(out, np.median(rows, axis=0))

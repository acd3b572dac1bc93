import subprocess
import sys

import numpy as np

from aeros_aggregators.kernels import mean
from aeros_aggregators.reduction import preload

CODE = """
import sys
import numpy as np
from aeros_aggregators.rules.fedavg import FedAvg
from aeros_aggregators.reduction.preload import preload
from aeros_core.messages import Update
from aeros_core.parameters import Parameters

size = int(sys.argv[1])
start = Parameters.of({"w": np.zeros(size, np.float32)})

def updates():
    if size > 1000:
        preload("float32").join()  # while a node trains
    print("numba" in sys.modules)
    yield Update("a", 1, Parameters.of({"w": np.ones(size, np.float32)}), 1)

print(FedAvg(personal=()).aggregate(start, updates()).vector.sum() == size)
"""


def test_kernels_are_there_before_the_first_update_of_a_large_model_and_no_other():
    for size, loaded in (("200000", "True"), ("1000", "False")):
        told = subprocess.check_output([sys.executable, "-c", CODE, size], text=True)
        assert told.split() == [loaded, "True"]


def test_what_is_loaded_is_what_a_round_calls():
    preload.preload("float64").join()
    known = len(mean.mean.signatures), len(mean.fold.signatures)
    one, total = np.zeros(200_000), np.zeros(200_000)
    term = preload.ServerStep("float64", one, one, total, [one], [2.0], True, 2.0, 1.0)
    mean.mean(one, term.packed(), 0, 10)
    assert (len(mean.mean.signatures), len(mean.fold.signatures)) == known

"""One work of `simulation.py` with pfl-research; runs in an environment of its own.

    python simulation_pfl.py WORK.npz

Prints a line of JSON: seconds of every round but the first, those of all processors for one
round, and accuracy at the end. With
``torchrun --nproc_per_node=2`` two processes share the clients of a round.
"""

import json
import os
import sys
import time

import numpy as np
import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data.dataset import Dataset
from pfl.data.federated_dataset import FederatedDataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam.base import NNEvalHyperParams, NNTrainHyperParams
from pfl.metrics import Metrics, Weighted
from pfl.model.pytorch import PyTorchModel
from simulation_models import module
from torch.nn import functional as F


class Clock(TrainingProcessCallback):
    """Remembers when each round ended."""

    def __init__(self):
        self.times, self.work = [], []

    def after_central_iteration(self, aggregate_metrics, model, *, central_iteration):
        self.times.append(time.perf_counter())
        self.work.append(time.process_time())
        return False, Metrics()


def trainable(network):
    """Return the module with the two methods that pfl asks for."""

    def loss(x, y, eval=False):  # noqa: A002
        network.train(not eval)
        return F.cross_entropy(network(x), y)

    def metrics(x, y):
        return {"loss": Weighted(float(loss(x, y, eval=True)) * len(y), len(y))}

    network.loss, network.metrics = loss, metrics
    return network


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    work = np.load(sys.argv[1])
    x, y = torch.from_numpy(work["x"]), torch.from_numpy(work["y"])
    clients = {
        i: Dataset((x[torch.from_numpy(rows)], y[torch.from_numpy(rows)]))
        for i, rows in enumerate(np.split(work["rows"], work["offsets"][1:-1]))
    }
    sampler = get_user_sampler("random", list(clients))
    shape = (tuple(work["inputs"].tolist()), work["hidden"].tolist(), int(work["codes"]))
    network = trainable(module(*shape))
    rounds, cohort, lr = int(work["rounds"]), int(work["cohort"]), float(work["lr"])
    model = PyTorchModel(
        network,
        local_optimizer_create=torch.optim.SGD,
        central_optimizer=torch.optim.SGD(network.parameters(), 1.0),
    )
    clock = Clock()
    FederatedAveraging().run(
        algorithm_params=NNAlgorithmParams(
            central_num_iterations=rounds,
            evaluation_frequency=10**9,
            train_cohort_size=cohort,
            val_cohort_size=0,
        ),
        backend=SimulatedBackend(
            training_data=FederatedDataset(clients.__getitem__, sampler), val_data=None
        ),
        model=model,
        model_train_params=NNTrainHyperParams(
            local_num_epochs=1,
            local_learning_rate=lr,
            local_batch_size=int(work["batch"]),
            local_max_grad_norm=None,
        ),
        model_eval_params=NNEvalHyperParams(local_batch_size=1000),
        callbacks=[clock],
    )
    with torch.no_grad():
        network.eval()
        right = network(torch.from_numpy(work["test_x"])).argmax(1).numpy() == work["test_y"]
    if os.environ.get("RANK", "0") == "0":
        seconds = np.diff(clock.times).tolist()
        busy = (
            (clock.work[-1] - clock.work[0]) / len(seconds) * int(os.environ.get("WORLD_SIZE", "1"))
        )
        print(json.dumps({"seconds": seconds, "busy": busy, "accuracy": float(right.mean())}))


if __name__ == "__main__":
    main()

"""One work of `simulation.py` with flwr's simulation; runs in an environment of its own.

    python simulation_flwr.py WORK.npz ROUNDS

Prints a line of JSON as `simulation_pfl.py` does. Clients are the fewest lines of numpy and
torch that the message API takes; Ray has every core, with one core a client. What the
processors did is that of this process and of all that descend from it.
"""

import contextlib
import functools
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch
from flwr.clientapp import ClientApp
from flwr.common import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation
from simulation_models import module
from torch.nn import functional as F

HERE = Path(__file__).resolve().parent


@functools.cache
def work(path):
    torch.set_num_threads(1)
    return dict(np.load(path))


@functools.cache
def network(path):
    told = work(path)
    shape = tuple(told["inputs"].tolist()), told["hidden"].tolist(), int(told["codes"])
    torch.manual_seed(0)
    return module(*shape)


def client(path):
    app = ClientApp()

    @app.train()
    def train(message, context):
        told, mine = work(path), network(path)
        mine.load_state_dict(message.content["arrays"].to_torch_state_dict())
        number = int(context.node_config["partition-id"])
        rows = told["rows"][told["offsets"][number] : told["offsets"][number + 1]]
        order = np.random.default_rng(number).permutation(rows)
        x, y = torch.from_numpy(told["x"][order]), torch.from_numpy(told["y"][order])
        size, lr, parameters = int(told["batch"]), float(told["lr"]), list(mine.parameters())
        for batch, labels in zip(x.split(size), y.split(size), strict=True):
            gradients = torch.autograd.grad(F.cross_entropy(mine(batch), labels), parameters)
            with torch.no_grad():
                torch._foreach_add_(parameters, gradients, alpha=-lr)
        metrics = MetricRecord({"num-examples": len(rows)})
        content = RecordDict({"arrays": ArrayRecord(mine.state_dict()), "metrics": metrics})
        return Message(content=content, reply_to=message)

    return app


def worked():
    """Return the seconds that this process and its descendants have kept processors busy."""
    told = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            figures = path.read_text().rpartition(")")[2].split()
            told[int(path.parent.name)] = (int(figures[1]), int(figures[11]) + int(figures[12]))
    family, size = {os.getpid()}, 0
    while len(family) > size:
        size = len(family)
        family |= {one for one, (parent, _) in told.items() if parent in family}
    return sum(told[one][1] for one in family) / os.sysconf("SC_CLK_TCK")


def server(path, rounds, clock, ended):
    app = ServerApp()

    @app.main()
    def main(grid, context):
        told, mine = work(path), network(path)
        clients, cohort = len(told["offsets"]) - 1, int(told["cohort"])

        def note(number, arrays):
            clock.append((time.perf_counter(), worked()))

        strategy = FedAvg(
            fraction_train=cohort / clients,
            fraction_evaluate=0.0,
            min_train_nodes=cohort,
            min_available_nodes=clients,
        )
        done = strategy.start(
            grid=grid,
            initial_arrays=ArrayRecord(mine.state_dict()),
            num_rounds=rounds,
            train_config=ConfigRecord(),
            evaluate_fn=note,
        )
        mine.load_state_dict(done.arrays.to_torch_state_dict())
        with torch.no_grad():
            right = mine(torch.from_numpy(told["test_x"])).argmax(1).numpy() == told["test_y"]
        ended.append(float(right.mean()))

    return app


def main():
    os.environ["PYTHONPATH"] = str(HERE)  # Ray's processes import this module
    path, rounds = sys.argv[1], int(sys.argv[2])
    clients = len(work(path)["offsets"]) - 1
    clock, ended = [], []
    run_simulation(
        server_app=server(path, rounds, clock, ended),
        client_app=client(path),
        num_supernodes=clients,
        backend_config={"client_resources": {"num_cpus": 1}},
    )
    spent = np.diff(clock[1:], axis=0)  # the first is that of no round
    seconds, busy = spent[:, 0].tolist(), float(spent[:, 1].mean())
    print(json.dumps({"seconds": seconds, "busy": busy, "accuracy": ended[0]}))


if __name__ == "__main__":
    import simulation_flwr  # under this name Ray's processes find what it has

    simulation_flwr.main()

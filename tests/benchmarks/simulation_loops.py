"""Simulations that anyone would write by hand, in plain torch."""

import copy
import time

import numpy as np
import torch
from simulation_models import module
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset


def naive(work):
    """Deep-copied module, ``torch.optim.SGD``, ``DataLoader``; the mean of state dicts."""

    def train(network, x, y):
        mine = copy.deepcopy(network)
        optimizer = torch.optim.SGD(mine.parameters(), lr=work.lr)
        for batch, labels in DataLoader(TensorDataset(x, y), work.batch, shuffle=True):
            optimizer.zero_grad()
            F.cross_entropy(mine(batch), labels).backward()
            optimizer.step()
        return [tensor.detach() for tensor in mine.parameters()]

    return _rounds(work, train)


def tuned(work):
    """One module, weights copied in place, ``autograd.grad``, batches cut beforehand."""
    mine = module(work.inputs, work.hidden, work.codes)
    parameters = list(mine.parameters())

    def train(network, x, y):
        with torch.no_grad():
            for here, there in zip(parameters, network.parameters(), strict=True):
                here.copy_(there)
        order = torch.randperm(len(y))
        for batch, labels in zip(
            x[order].split(work.batch), y[order].split(work.batch), strict=True
        ):
            gradients = torch.autograd.grad(F.cross_entropy(mine(batch), labels), parameters)
            with torch.no_grad():
                torch._foreach_add_(parameters, gradients, alpha=-work.lr)
        return [tensor.detach().clone() for tensor in parameters]

    return _rounds(work, train)


def _rounds(work, train):
    """Run every round; return what `simulation.Timed` says."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x, y = torch.from_numpy(work.x), torch.from_numpy(work.y)
    network, times, busy = module(work.inputs, work.hidden, work.codes), [], []
    for _ in range(work.rounds):
        drawn = rng.choice(work.clients, work.cohort, replace=False)
        rows = [torch.from_numpy(work.partition[i]) for i in drawn]
        updates = [train(network, x[mine], y[mine]) for mine in rows]
        total = sum(len(mine) for mine in rows)
        with torch.no_grad():
            for place, tensor in enumerate(network.parameters()):
                parts = (u[place] * (len(m) / total) for u, m in zip(updates, rows, strict=True))
                tensor.copy_(sum(parts))
        times.append(time.perf_counter())
        busy.append(time.process_time())
    with torch.no_grad():
        right = network(torch.from_numpy(work.test_x)).argmax(1).numpy() == work.test_y
    torch.set_num_threads(before)
    return np.diff(times).tolist(), float(np.diff(busy).mean()), float(right.mean())

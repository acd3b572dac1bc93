"""aeros in `simulation.py`: the round loop, local nodes and fedavg, and a kernel alone."""

import os
import time
from dataclasses import fields
from functools import partial
from pathlib import Path

import numpy as np

from aeros_aggregators.rules.fedavg import FedAvg
from aeros_core import seeding
from aeros_core.controllers.local import LocalNodes
from aeros_core.data import Dataset
from aeros_core.federated.rounds import Rounds
from aeros_core.messages import Instruction
from aeros_core.preprocessing.pipeline import Prepared
from aeros_core.records import ModelInfo
from aeros_core.roles.components import Components
from aeros_core.schema import Field, Schema
from aeros_core.tasks.control import Control
from aeros_core.tasks.task import Evaluating, Task
from aeros_torch import config
from aeros_torch.modules import models
from aeros_torch.trainer import TorchTrainer


class Memory:
    """A repository that keeps the last round in memory, so that no disk is measured."""

    def begin(self, run):
        self.run = run

    def commit(self, run, checkpoint):
        self.last = checkpoint

    def finish(self, run, result):
        self.ended = result

    def result(self, run):
        return None

    def models(self, name=None):
        return []

    def publish(self, model):
        there = (model.name, 1, "", model.run, model.round, model.metrics, "", 0)
        return ModelInfo(*there)


def children():
    """Return the seconds that processes started by this one have worked."""
    total, ticks = 0, os.sysconf("SC_CLK_TCK")
    for thread in Path("/proc/self/task").glob("*/children"):
        for process in thread.read_text().split():
            figures = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            total += int(figures[11]) + int(figures[12])
    return total / ticks


class Clock:
    """Listens to a task, and remembers when each round ended."""

    def __init__(self):
        self.times, self.busy, self._looking = [], [], 0.0

    def aeros_after_round(self, **_):
        began = time.perf_counter()
        self.times.append(began - self._looking)
        self.busy.append(time.process_time() + children() - self._looking)
        self._looking += time.perf_counter() - began  # the look at other processes is not aeros's

    def __getattr__(self, name):
        if name.startswith("aeros_"):
            return lambda **_: None
        raise AttributeError(name)


def engine(work, name, **options):
    """Run every round; return what `simulation.Timed` says."""
    made = trainer(work, engine=name, **options)
    return rounds(_prepared(work), made, rounds=work.rounds, cohort=work.cohort)


def rounds(prepared, made, *, rounds, cohort):
    """Run rounds of a trainer; return what `simulation.Timed` says."""
    task = Task(rounds=rounds, cohort=cohort, evaluation=Evaluating(every=rounds))
    clock = Clock()
    parts = Components(FedAvg(personal=()), Memory(), made, {}, clock, {}, "", {}, Control())
    result = Rounds(task, parts, LocalNodes(task, made, prepared), prepared).run()
    busy = float(np.diff(clock.busy).mean())
    return np.diff(clock.times).tolist(), busy, result.metrics["accuracy"]


def kernel(work, workers):
    """Call ``train_cohort`` and add its updates up with numpy: no round loop, no checks."""
    prepared, made = _prepared(work), trainer(work, engine="compiled", workers=workers)
    parameters, clock = made.initialise(prepared.schema, 0), Clock()
    rng, sizes = np.random.default_rng(0), prepared.partition.sizes
    for number in range(1, work.rounds + 1):
        drawn = rng.choice(work.clients, work.cohort, replace=False)
        sent = [
            Instruction(number, str(i), parameters, seed=seeding.seed(0, number, int(i)))
            for i in drawn
        ]
        data = [prepared.train.take(prepared.partition[i]) for i in drawn]
        total, sums = sizes[drawn].sum(), np.zeros_like(parameters.vector)
        for update in made.train_cohort(sent, data):
            sums += np.float32(update.examples / total) * update.parameters.vector
        parameters = type(parameters)(parameters.layout, {"float32": sums})
        clock.aeros_after_round()
    busy = float(np.diff(clock.busy).mean())
    return np.diff(clock.times).tolist(), busy, made.evaluate(parameters, prepared.test)["accuracy"]


def trainer(work, **options):
    """Return the trainer of a work."""
    made = config.TorchTrainer()
    given = {f.name: getattr(made, f.name) for f in fields(made)}
    given = {k: v for k, v in given.items() if k not in ("_target_", "defaults", "model")}
    given |= {"lr": work.lr, "batch_size": work.batch, "device": "cpu", **options}
    dense = {"hidden": work.hidden, "activation": "relu", "dropout": 0.0}
    if work.codes:
        model = partial(models.Lstm, embedding=8, hidden=work.hidden[0], layers=1, dropout=0.0)
    elif len(work.inputs) == 1:
        model = partial(models.Mlp, **dense) if work.hidden else models.Softmax
    else:
        model = partial(models.Cnn, channels=[16, 32], kernel=5, padding="same", **dense)
    return TorchTrainer(model=model, **given)


def _prepared(work):
    codes = tuple(map(str, range(work.codes))) or None
    digits = Field("y", "int64", categories=codes or tuple("0123456789"))
    x = Field("x", work.x.dtype.name, work.inputs, categories=codes)
    schema = Schema((x, digits), "y")
    train = Dataset(schema, {"x": work.x, "y": work.y})
    test = Dataset(schema, {"x": work.test_x, "y": work.test_y})
    return Prepared(train, test, work.partition, {})

"""Trainers with the options of their dataclass, and small data to train on."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from aeros_core.data import Dataset
from aeros_core.messages import Instruction
from aeros_core.schema import Field, Schema
from aeros_torch import config
from aeros_torch.trainer import TorchTrainer


def options(dataclass: type) -> dict[str, Any]:
    """Return the options of a dataclass at their defaults, as core hands them over."""
    made = dataclass()
    values = {f.name: getattr(made, f.name) for f in fields(dataclass)}
    return {k: v for k, v in values.items() if k not in ("_target_", "defaults", "model")}


class Small(nn.Module):
    """Two dense layers; the smallest module that is not one layer."""

    def __init__(self, *, inputs: tuple[int, ...], outputs: int, dropout: float = 0.0):
        super().__init__()
        self.first = nn.Linear(int(np.prod(inputs)), 6)
        self.dropout = nn.Dropout(dropout)
        self.second = nn.Linear(6, outputs)

    def forward(self, x):
        return self.second(self.dropout(torch.tanh(self.first(x.flatten(1)))))


class Normed(nn.Module):
    """A module with BatchNorm: float and integer buffers."""

    def __init__(self, *, inputs: tuple[int, ...], outputs: int):
        super().__init__()
        self.first = nn.Linear(int(np.prod(inputs)), 6)
        self.norm = nn.BatchNorm1d(6)
        self.second = nn.Linear(6, outputs)

    def forward(self, x):
        return self.second(torch.relu(self.norm(self.first(x.flatten(1)))))


@pytest.fixture
def small():
    return Small


@pytest.fixture
def normed():
    return Normed


@pytest.fixture
def defaults():
    """Options of a dataclass at their defaults."""
    return options


@pytest.fixture
def trainer():
    """Make a trainer: ``trainer(lr=0.1)``; its model is `Small` if none is given."""

    def make(model: Any = Small, **changes: Any) -> TorchTrainer:
        return TorchTrainer(model=model, **{**options(config.TorchTrainer), **changes})

    return make


@pytest.fixture
def data():
    """Make data: ``data(37, shape=(4, 4))``, classes or numbers, the same every time."""

    def make(examples: int = 37, shape: tuple[int, ...] = (5,), values: int | None = None):
        rng = np.random.default_rng(11)
        x = rng.standard_normal((examples, *shape)).astype(np.float32)
        if values is None:
            target = Field("label", "int64", categories=("a", "b", "c"))
            y = rng.integers(0, 3, examples)
        else:
            target = Field("label", "float32", (values,) if values else ())
            y = rng.standard_normal((examples, *target.shape)).astype(np.float32)
        schema = Schema((Field("x", "float32", shape), target), "label")
        return Dataset(schema, {"x": x, "label": y})

    return make


@pytest.fixture
def mlp():
    """The registered mlp with small layers, as core binds it."""
    from aeros_torch.modules.models import Mlp

    return partial(Mlp, **{**options(config.Mlp), "hidden": [16]})


@pytest.fixture
def agree(trainer):
    """Train a cohort with kernels and with torch, and compare: ``agree(model, tables, lr=0.1)``."""
    return partial(_agree, trainer)


def _drifts(clients, size, scale):
    """Return each client's own drift; the first has none, the second one on another device."""
    if not scale:
        return [{}] * clients
    rng = np.random.default_rng(3)
    made = [scale * rng.normal(size=size).astype(np.float32) for _ in range(clients)]
    return [{}, {"drift": torch.from_numpy(made[1])}, *({"drift": drift} for drift in made[2:])]


def _agree(
    trainer, model, tables, start=None, rtol=2e-3, atol=2e-5, scalars=None, drift=0.0, **options
):
    """Train a cohort with both engines and compare."""
    here = trainer(model, engine="compiled", **options)
    there = trainer(model, engine="sequential", **options)
    start = start or here.initialise(tables[0].schema, 1)
    sent = [
        Instruction(1, f"n{i}", start, seed=40 + i, scalars=scalars or {}, vectors=vectors)
        for i, vectors in enumerate(_drifts(len(tables), len(start.vector), drift))
    ]
    found = list(here.train_cohort(sent, tables))
    expected = list(there.train_cohort(sent, tables))
    for one, other in zip(found, expected, strict=True):
        assert (one.node, one.examples) == (other.node, other.examples)
        np.testing.assert_allclose(
            one.parameters.vector, other.parameters.vector, rtol=rtol, atol=atol
        )
        assert one.scalars == other.scalars
        assert one.metrics["loss"] == pytest.approx(other.metrics["loss"], rel=1e-4)
        measured = there.evaluate(other.parameters, tables[0])
        assert here.evaluate(other.parameters, tables[0]) == pytest.approx(measured, rel=1e-4)
    return found

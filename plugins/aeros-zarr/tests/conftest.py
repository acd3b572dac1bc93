from pathlib import Path

import numpy as np
import pytest

from aeros_core.parameters import Parameters
from aeros_core.records import Checkpoint, Model, Run
from aeros_core.schema import Schema
from aeros_core.task import Round
from aeros_zarr import Compression
from aeros_zarr.repository import ZarrRepository


class Examples:
    """Small things to store; the same number gives the same one."""

    @staticmethod
    def store(path: Path, **options) -> ZarrRepository:
        defaults = {"compression": Compression.none, "durable": False, "keep": 2}
        return ZarrRepository(path=str(path), **(defaults | options))

    @staticmethod
    def run(name="a", task="task"):
        return Run(name, task, "", {}, {}, "2026-01-01")

    @staticmethod
    def parameters(seed=0, size=700):
        rng = np.random.default_rng(seed)
        return Parameters.of({"w": rng.standard_normal(size, dtype=np.float32)})

    @classmethod
    def checkpoint(cls, number, seed=0, state=None):
        round = Round(number, {"loss": 0.5}, {}, {}, {}, {}, {}, 0, 0)
        return Checkpoint(round, cls.parameters(100 * number + seed), state or {})

    @classmethod
    def model(cls, name="model", seed=0):
        return Model(name, cls.parameters(seed), Schema(()))

    @classmethod
    def filled(cls, path, rounds=3, **options):
        """A repository with run ``a`` and so many rounds."""
        repository = cls.store(path, **options)
        repository.begin(cls.run())
        for number in range(1, rounds + 1):
            repository.commit("a", cls.checkpoint(number))
        return repository


@pytest.fixture
def examples():
    return Examples

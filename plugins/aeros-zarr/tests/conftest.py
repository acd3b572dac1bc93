import os
from pathlib import Path

import endpoints
import numpy as np
import pytest
from proxy import proxy

from aeros_core.parameters import Parameters
from aeros_core.records import Checkpoint, Model, Run
from aeros_core.results import Round
from aeros_core.schema import Schema
from aeros_zarr import Compression
from aeros_zarr.archive import maintenance
from aeros_zarr.local import ZarrRepository


class Examples:
    """Small things to store; the same number gives the same one."""

    @staticmethod
    def store(path: Path, **options) -> ZarrRepository:
        defaults = {
            "compression": Compression.none, "durable": False, "keep": 2,
            "keep_last": 0, "keep_best": 0, "keep_metric": "accuracy", "verify": True,
        }  # fmt: skip
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


@pytest.fixture(scope="module")
def alone():
    """Nobody else writes to what a module's tests store: damage is looked at again at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(maintenance, "_PAUSE", 0.0)
        yield


@pytest.fixture(scope="session")
def examples():
    return Examples


@pytest.fixture(scope="session")
def s3():
    """The URL of an endpoint that knows one user, whose keys are in the environment."""
    with endpoints.moto(INITIAL_NO_AUTH_ACTION_COUNT="3") as url:
        keys = endpoints.admit(url)
        endpoints.create_bucket(url, keys)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in zip(endpoints.KEYS, keys, strict=True):
                patch.setenv(name, value)
            yield url


@pytest.fixture
def faulty(s3):
    """A proxy before that endpoint."""
    with proxy(s3) as server:
        yield server


@pytest.fixture(scope="session")
def heedless():
    """The URL of an endpoint that ignores conditions on writes; it knows no users."""
    with endpoints.moto() as url, proxy(url) as server:
        server.ignored = {"if-none-match"}
        endpoints.create_bucket(url, ("any", "any"))
        with pytest.MonkeyPatch.context() as patch:
            for name in endpoints.KEYS:
                if name not in os.environ:
                    patch.setenv(name, "any")
            yield server.url

"""flwr's own strategies as oracles, and updates to feed both with."""

from __future__ import annotations

import gc
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from aeros_aggregators.kernels import numpy_kernels
from aeros_core.arrays import Array
from aeros_core.messages import Update
from aeros_core.parameters import Parameters

os.environ["FLWR_TELEMETRY_ENABLED"] = "0"

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import flwr.server.strategy as legacy_strategies
    import flwr.serverapp.strategy as current_strategies
    from flwr.app import Array as FlowerArray
    from flwr.app import ArrayRecord, MetricRecord, RecordDict
    from flwr.common import Code, FitRes, Status, ndarrays_to_parameters, parameters_to_ndarrays

Tensors = Mapping[str, Array]
Rounds = Sequence[Sequence[Update]]


def pytest_configure(config: pytest.Config) -> None:
    # flwr reports its own deprecations through Python's warnings
    config.addinivalue_line("filterwarnings", "ignore::DeprecationWarning:flwr")


class Flower:
    """Runs a strategy of flwr over rounds of updates and returns every round's parameters."""

    def legacy(self, name: str, start: Parameters, rounds: Rounds, **options: Any) -> list[Tensors]:
        """Run ``flwr.server.strategy``."""
        initial = ndarrays_to_parameters([a for _, a in start.items()])
        strategy = getattr(legacy_strategies, name)(initial_parameters=initial, **options)
        strategy.pre_weights = [a for _, a in start.items()]  # what QFedAvg's configure_fit sets
        names = [name for name, _ in start.items()]
        results = []
        for number, updates in enumerate(rounds, 1):
            replies = [(None, _reply(update)) for update in updates]
            arrays, _ = strategy.aggregate_fit(number, replies, [])
            results.append(dict(zip(names, parameters_to_ndarrays(arrays), strict=True)))
            strategy.pre_weights = list(results[-1].values())
        return results

    def current(
        self, name: str, start: Parameters, rounds: Rounds, **options: Any
    ) -> list[Tensors]:
        """Run ``flwr.serverapp.strategy``."""
        strategy = getattr(current_strategies, name)(**options)
        here: Tensors = dict(start.items())
        results = []
        for number, updates in enumerate(rounds, 1):
            record = _record(here)
            as_dict = isinstance(strategy, current_strategies.fedopt.FedOpt)
            strategy.current_arrays = dict(here) if as_dict else record
            replies = [_message(update) for update in updates]
            arrays, _ = strategy.aggregate_train(number, replies)
            here = {key: array.numpy() for key, array in arrays.items()}
            results.append(here)
        return results


def _reply(update: Update) -> FitRes:
    return FitRes(
        Status(Code.OK, ""),
        ndarrays_to_parameters([a for _, a in update.parameters.items()]),
        update.examples,
        {},
    )


def _record(tensors: Tensors) -> ArrayRecord:
    return ArrayRecord({key: FlowerArray(np.array(a)) for key, a in tensors.items()})


def _message(update: Update) -> SimpleNamespace:
    """Return what a strategy reads of a ``Message``, which only a running app can make."""
    metrics = MetricRecord(
        {"num-examples": update.examples, "train_loss": update.metrics.get("loss", 0.0)}
    )
    content = RecordDict({"arrays": _record(dict(update.parameters.items())), "m": metrics})
    return SimpleNamespace(content=content, has_error=lambda: False)


@pytest.fixture(params=["numpy", "kernels"])
def engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Run a test twice, the second time on kernels even where vectors are small."""
    if request.param == "kernels":
        monkeypatch.setattr(numpy_kernels, "SMALL", 0)
    return str(request.param)


@pytest.fixture
def flower() -> Iterator[Flower]:
    gc.freeze()  # flwr collects garbage at every array: let it look at new objects only
    yield Flower()
    gc.unfreeze()


Draw = Callable[..., tuple[Parameters, list[list[Update]]]]


@pytest.fixture
def draw() -> Draw:
    """Return a function that draws parameters and rounds of updates."""

    def drawn(
        *,
        dtype: str = "float32",
        size: int = 1003,
        clients: int = 7,
        rounds: int = 3,
        seed: int = 0,
    ) -> tuple[Parameters, list[list[Update]]]:
        rng = np.random.default_rng(seed)

        def parameters() -> Parameters:
            flat = rng.standard_normal(size).astype(dtype)
            cut = size // 3
            return Parameters.of(
                {"weight": flat[: 2 * cut].reshape(cut, 2), "bias": flat[2 * cut :]}
            )

        def update(client: int) -> Update:
            metrics = {"loss": float(rng.uniform(0.1, 3.0))}
            return Update(f"node-{client}", 1, parameters(), int(rng.integers(1, 500)), metrics)

        return parameters(), [[update(c) for c in range(clients)] for _ in range(rounds)]

    return drawn

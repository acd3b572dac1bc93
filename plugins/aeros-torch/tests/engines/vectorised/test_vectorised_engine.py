"""The cohort engine against the sequential one."""

import logging
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError
from aeros_core.messages import Instruction
from aeros_core.parameters import Parameters
from aeros_core.schema import Field, Schema
from aeros_core.testing import TrainerTests
from aeros_torch.engines.vectorised import engine
from aeros_torch.modules import models

MLP = partial(models.Mlp, hidden=[7, 6], activation="tanh", dropout=0.0)
CNN = partial(
    models.Cnn,
    channels=[2, 3],
    kernel=3,
    hidden=[5],
    padding="same",
    activation="relu",
    dropout=0.0,
)


class TestContract(TrainerTests):
    """The contract with momentum and a proximal term."""

    @pytest.fixture(autouse=True)
    def _made(self, trainer):
        self.make = lambda: trainer(
            MLP, engine="cohort", lr=0.2, momentum=0.5, proximal_mu=0.01, batch_size=7, epochs=2
        )


class TestContractOfTheRest(TrainerTests):
    """The contract with AdamW and clipping."""

    @pytest.fixture(autouse=True)
    def _made(self, trainer, small):
        self.make = lambda: trainer(
            small, engine="cohort", optimizer="adamw", lr=0.05, clip_norm=1.0, batch_size=16
        )


def instructions(start, count, scale=0.0, scalars=None):
    rng = np.random.default_rng(3)
    drifts = [scale * rng.normal(size=len(start.vector)).astype(np.float32) for _ in range(count)]
    return [
        Instruction(
            1,
            f"n{i}",
            start,
            seed=40 + i,
            scalars=scalars or {},
            vectors={"drift": drift} if scale else {},
        )
        for i, drift in enumerate(drifts)
    ]


def agree(
    trainer, model, tables, drift=0.0, scalars=None, rtol=1e-3, atol=2e-5, close=1e-4, **options
):
    """Train a cohort with both engines and compare."""
    here = trainer(model, engine="cohort", **options)
    there = trainer(model, engine="sequential", **options)
    start = here.initialise(tables[0].schema, 1)
    sent = instructions(start, len(tables), drift, scalars)
    found = list(here.train_cohort(sent, tables))
    for one, other in zip(found, there.train_cohort(sent, tables), strict=True):
        assert (one.node, one.examples, one.scalars) == (other.node, other.examples, other.scalars)
        for dtype, vector in other.parameters.vectors.items():
            mine = one.parameters.vectors[dtype]
            np.testing.assert_allclose(mine, vector, rtol=rtol, atol=atol)
        assert one.metrics["loss"] == pytest.approx(other.metrics["loss"], rel=close)
    assert here.evaluate(start, tables[0]) == there.evaluate(start, tables[0])
    return found


def cut(table, *sizes):
    """Return clients of one table: those of several are not trained together."""
    return [table.take(np.arange(size)) for size in sizes]


OPTIONS = [
    {},
    {"momentum": 0.9, "weight_decay": 0.05, "optimizer_options": {"nesterov": True}},
    {"momentum": 0.9, "optimizer_options": {"dampening": 0.4}},
    {"weight_decay": 0.1},
    {"proximal_mu": 0.7},
    {"clip_norm": 0.2, "proximal_mu": 0.1},
    {"drift": 1.0},
    {"drift": 1.0, "momentum": 0.5, "scalars": {"proximal_mu": 0.3}},
    {"steps": 11},
    {"steps": 2},
    {"optimizer": "adam", "clip_norm": 0.5},
    {"optimizer": "adamw", "weight_decay": 0.1, "drift": 0.1},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("values", [None, 2], ids=["classes", "numbers"])
def test_each_option_with_clients_of_unequal_size(trainer, data, options, values):
    tables = cut(data(values=values), 20, 1, 37, 16, 3)
    agree(trainer, MLP, tables, lr=0.02, batch_size=8, **{"epochs": 3, **options})


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("sizes", [(12, 12, 12), (5, 12, 1)], ids=str)
@pytest.mark.parametrize(
    ("model", "shape"),
    [(models.Softmax, (3, 4)), (MLP, (5,)), (CNN, (8, 8)), (CNN, (3, 8, 8))],
    ids=["softmax", "mlp", "cnn", "cnn of colours"],
)
def test_each_model(trainer, data, model, shape, sizes, optimizer):
    tables = cut(data(shape=shape), *sizes)
    agree(trainer, model, tables, optimizer=optimizer, lr=0.02, batch_size=4, epochs=2)


@pytest.mark.parametrize(
    ("loss", "options"),
    [("huber", {"delta": 0.5}), ("l1", {}), ("smooth_l1", {}), ("poisson_nll", {})],
)
def test_losses_of_numbers(trainer, data, loss, options):
    tables = cut(data(values=2), 9, 4)
    agree(trainer, MLP, tables, lr=0.02, batch_size=4, loss=loss, loss_options=options)


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("cross_entropy", {"label_smoothing": 0.1}),
        ("bce_with_logits", {}),
        ("mse", {}),
    ],
)
def test_losses_of_classes(trainer, data, loss, options):
    tables = cut(data(), 9, 4)
    agree(trainer, MLP, tables, lr=0.02, batch_size=4, loss=loss, loss_options=options)


def test_a_module_with_codes(trainer):
    class Bag(nn.Module):
        def __init__(self, *, inputs, outputs, categories):
            super().__init__()
            self.table = nn.Embedding(categories, 4)
            self.linear = nn.Linear(4, outputs)

        def forward(self, x):
            return self.linear(self.table(x).mean(1))

    rng = np.random.default_rng(0)
    letters = tuple("abcdef")
    schema = Schema(
        (Field("x", "int64", (3,), categories=letters), Field("y", "int64", categories=letters)),
        "y",
    )
    table = Dataset(schema, {"x": rng.integers(0, 6, (20, 3)), "y": rng.integers(0, 6, 20)})
    agree(trainer, Bag, [table, table.take(np.arange(7))], lr=0.1, batch_size=4)


def test_frozen_and_unused_parameters_stay(trainer, data, small):
    class Partly(small):
        def __init__(self, *, inputs, outputs):
            super().__init__(inputs=inputs, outputs=outputs)
            self.unused = nn.Linear(2, 2)
            self.scale = nn.Parameter(torch.tensor(1.0))
            self.first.weight.requires_grad_(False)

        def forward(self, x):
            return self.scale * super().forward(x)

    tables = cut(data(), 9, 4)
    agree(trainer, Partly, tables, lr=0.1, batch_size=4, momentum=0.5)


@pytest.mark.parametrize("count", [1, 300])
def test_one_client_and_very_many(trainer, data, count):
    agree(trainer, models.Softmax, [data(12)] * count, lr=0.1, batch_size=5)


def test_a_huge_client_beside_a_tiny_one(trainer, data):
    table = data(100_000, shape=(2,))
    tables = cut(table, 3, 100_000)
    agree(trainer, models.Softmax, tables, lr=0.01, batch_size=1000, rtol=1e-3)


def test_bfloat16_is_near_float32_and_agrees_between_engines(trainer, data):
    tables = cut(data(), 20, 9)
    options = {"lr": 0.02, "batch_size": 8}
    loose = {"rtol": 0.05, "atol": 2e-3, "close": 0.01}
    low = agree(trainer, MLP, tables, precision="bfloat16", **loose, **options)
    full = agree(trainer, MLP, tables, **options)
    for one, other in zip(low, full, strict=True):
        np.testing.assert_allclose(one.parameters.vector, other.parameters.vector, atol=5e-3)
        assert not np.array_equal(one.parameters.vector, other.parameters.vector)


def test_members_of_different_kinds(trainer, data):
    """Other parameters, rounds, tables and drifts within one cohort, answered in order."""
    first, second = data(), data(20)
    made = trainer(
        MLP, engine="cohort", scheduler="StepLR", scheduler_options={"step_size": 1}, lr=0.5
    )
    starts = [made.initialise(first.schema, seed) for seed in (1, 2)]
    vectors = {"drift": np.ones(len(starts[0].vector), np.float32)}
    sent = [
        Instruction(1, "a", starts[0], seed=1),
        Instruction(2, "b", starts[0], seed=1),
        Instruction(2, "c", starts[0], seed=1, vectors=vectors),
        Instruction(2, "d", starts[1], seed=1),
        Instruction(2, "e", starts[1], seed=1),
    ]
    tables = [first, first, first, first, second]
    together = list(made.train_cohort(sent, tables))
    assert [update.node for update in together] == list("abcde")
    for update, instruction, table in zip(together, sent, tables, strict=True):
        alone = made.train(instruction, table)
        np.testing.assert_allclose(
            update.parameters.vector, alone.parameters.vector, rtol=1e-4, atol=1e-6
        )
    assert len({update.parameters.digest for update in together}) == 5


def test_parameters_on_another_device_are_taken(trainer, data):
    made = trainer(MLP, engine="cohort")
    start = made.initialise(data().schema, 1)
    there = Parameters(start.layout, {"float32": torch.from_numpy(start.vector.copy())})
    first, second = (made.train(Instruction(1, "n", s, seed=1), data()) for s in (start, there))
    assert first.parameters.digest == second.parameters.digest


def test_rounds_follow_one_another_in_the_same_memory(trainer, data):
    """Updates stay what they were, and each round starts afresh."""
    made = trainer(
        MLP,
        engine="cohort",
        lr=0.1,
        momentum=0.9,
        optimizer_options={"dampening": 0.3},
        batch_size=5,
    )
    tables = cut(data(), 20, 7, 13)
    start = made.initialise(tables[0].schema, 1)
    first = list(made.train_cohort(instructions(start, 3, 0.5), tables))
    digests = [update.parameters.digest for update in first]
    other = list(made.train_cohort(instructions(first[0].parameters, 3, 0.1), tables))
    again = list(made.train_cohort(instructions(start, 3, 0.5), tables))
    assert [update.parameters.digest for update in first] == digests
    assert [update.parameters.digest for update in again] == digests
    assert not set(digests) & {update.parameters.digest for update in other}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("shape", [(5,), (8, 8)], ids=["mlp", "cnn"])
def test_cuda_agrees_with_the_cpu(trainer, data, shape, options):
    """Twice, so that graphs of the first round serve the second; updates stay there."""
    options = {"lr": 0.02, "batch_size": 4, "epochs": 4, **options}
    drift, scalars = options.pop("drift", 0.0), options.pop("scalars", None)
    model = MLP if len(shape) == 1 else CNN
    here, there = (
        trainer(model, engine="cohort", device=device, **options) for device in ("cpu", "cuda")
    )
    tables = cut(data(shape=shape), 20, 1, 37, 16, 3)
    start = here.initialise(tables[0].schema, 1)
    sent = instructions(start, 5, drift, scalars)
    expected = list(here.train_cohort(sent, tables))
    for _ in range(2):
        for one, other in zip(there.train_cohort(sent, tables), expected, strict=True):
            vector = one.parameters.vector
            assert vector.is_cuda
            np.testing.assert_allclose(vector.cpu(), other.parameters.vector, rtol=1e-3, atol=1e-4)
            assert one.scalars == other.scalars
            assert one.metrics["loss"] == pytest.approx(other.metrics["loss"], rel=1e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_bfloat16_and_parameters_on_a_device(trainer, data):
    made = trainer(MLP, engine="cohort", device="cuda", precision="bfloat16", lr=0.02)
    tables = cut(data(), 20, 9)
    start = made.initialise(tables[0].schema, 1)
    first, _ = (u.parameters for u in made.train_cohort(instructions(start, 2), tables))
    again = list(made.train_cohort(instructions(first, 2), tables))
    assert torch.isfinite(again[0].parameters.vector).all()
    assert made.evaluate(first, tables[0])["loss"] > 0


# ---------------------------------------------------------------- memory


def packs(monkeypatch):
    """Remember how many clients each pack holds."""
    sizes, train = [], engine.VectorisedEngine._train
    monkeypatch.setattr(
        engine.VectorisedEngine,
        "_train",
        lambda self, some: sizes.append(len(some)) or train(self, some),
    )
    return sizes


def test_a_cohort_is_split_by_the_memory_there_is(trainer, data, monkeypatch):
    sizes = packs(monkeypatch)
    tables = cut(data(), 9, 4, 12, 1, 7)
    expected = agree(trainer, MLP, tables, lr=0.1)
    monkeypatch.setattr(engine, "bytes_of_one", lambda *_: 1000)
    monkeypatch.setattr(engine, "free_bytes", lambda *_: 8000)
    found = agree(trainer, MLP, tables, lr=0.1)
    assert sizes == [5, 2, 2, 1]
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(
            one.parameters.vector, other.parameters.vector, rtol=1e-4, atol=1e-6
        )


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.cuda.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_pack_that_does_not_fit_is_halved(trainer, data, monkeypatch, error):
    sizes, train = [], engine.VectorisedEngine._train

    def runs_out(self, some):
        sizes.append(len(some))
        if len(some) > 2:
            raise error
        return train(self, some)

    monkeypatch.setattr(engine.VectorisedEngine, "_train", runs_out)
    agree(trainer, MLP, cut(data(), 9, 4, 12, 1, 7), lr=0.1)
    assert sizes == [5, 2, 2, 1]


def test_one_client_that_does_not_fit_says_so(trainer, data, monkeypatch):
    def runs_out(self, some):
        raise MemoryError

    monkeypatch.setattr(engine.VectorisedEngine, "_train", runs_out)
    made = trainer(MLP, engine="cohort")
    start = made.initialise(data().schema, 1)
    with pytest.raises(MemoryError):
        made.train(Instruction(1, "n", start), data())


def test_other_errors_are_not_taken_for_want_of_memory(trainer, data, monkeypatch):
    def breaks(self, some):
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(engine.VectorisedEngine, "_train", breaks)
    made = trainer(MLP, engine="cohort")
    start = made.initialise(data().schema, 1)
    with pytest.raises(RuntimeError, match="shapes"):
        list(made.train_cohort(instructions(start, 4), [data()] * 4))


# ---------------------------------------------------------------- what it cannot do


class Forks(nn.Module):
    """Decides by its data what it does."""

    def __init__(self, *, inputs, outputs):
        super().__init__()
        self.linear = nn.Linear(inputs[0], outputs)

    def forward(self, x):
        return self.linear(x) if x.sum() > 0 else -self.linear(x)


class Mixes(Forks):
    """Answers an example by what else is in the batch: padding would change it."""

    def forward(self, x):
        y = self.linear(x)
        return y * (1 + y.mean(0))


class Draws(Forks):
    """Draws random numbers in a way no module tells of."""

    def forward(self, x):
        return F.dropout(self.linear(x), 0.5)


class Counts(Forks):
    """Has an integer buffer."""

    def __init__(self, *, inputs, outputs):
        super().__init__(inputs=inputs, outputs=outputs)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x):
        self.count += 1
        return self.linear(x)


class Halves(Forks):
    """Has a frozen parameter of another dtype."""

    def __init__(self, *, inputs, outputs):
        super().__init__(inputs=inputs, outputs=outputs)
        self.scale = nn.Parameter(torch.ones(outputs, dtype=torch.float64), requires_grad=False)

    def forward(self, x):
        return self.linear(x) * self.scale.float()


LSTM = partial(models.Lstm, embedding=2, hidden=4, layers=1, dropout=0.0)
CANNOT = [
    (partial(models.Mlp, hidden=[4], activation="relu", dropout=0.5), "the model has dropout"),
    (Forks, "torch.func cannot map it: "),
    (Mixes, "mapped over clients it does something else"),
    (Draws, "torch.func cannot map it: "),
    (Counts, "the model has tensors that are not float32"),
    (Halves, "the model has tensors that are not float32"),
    (LSTM, "torch.func cannot map it: "),
]


@pytest.mark.parametrize(("model", "reason"), CANNOT, ids=[reason for _, reason in CANNOT])
def test_what_cannot_be_stacked_is_refused_or_falls_back(
    trainer, data, caplog, monkeypatch, model, reason
):
    table = data(shape=(3, 2) if model is LSTM else (5,))
    with pytest.raises(ConfigError) as caught:
        trainer(model, engine="cohort").initialise(table.schema, 1)
    assert f"trainer.engine=cohort cannot train this: {reason}" in str(caught.value)
    assert "next: trainer.engine=auto" in str(caught.value)
    caplog.set_level(logging.INFO, "aeros_torch")
    adam = partial(trainer, model, optimizer="adam")  # which kernels do not do
    made, plain = adam(), adam(engine="sequential")
    start = made.initialise(table.schema, 1)
    sent = instructions(start, 8)
    expected = [update.parameters.digest for update in plain.train_cohort(sent, [table] * 8)]
    for _ in range(2):
        found = [update.parameters.digest for update in made.train_cohort(sent, [table] * 8)]
        assert found == expected
    lines = [record.getMessage() for record in caplog.records]
    told = [line for line in lines if "cohort cannot train this" in line]
    assert len(told) == 1
    assert reason in told[0]


def test_batch_norm_is_refused(trainer, data, normed):
    with pytest.raises(ConfigError, match="the model has BatchNorm"):
        trainer(normed, engine="cohort").initialise(data().schema, 1)


def test_other_optimizers_are_refused(trainer, data):
    with pytest.raises(ConfigError, match="the optimizer is Adagrad with options of its own"):
        trainer(MLP, engine="cohort", optimizer="adagrad").initialise(data().schema, 1)


@pytest.mark.parametrize(
    ("model", "clients", "taken"),
    [(MLP, 8, True), (MLP, 7, False), (CNN, 8, False)],
)
def test_auto_stacks_several_clients_of_small_networks(
    trainer, data, monkeypatch, model, clients, taken
):
    """Kernels are set aside by Adam, and convolutions are slower when stacked on a CPU."""
    sizes = packs(monkeypatch)
    table = data(shape=(8, 8))
    made = trainer(model, optimizer="adam")
    start = made.initialise(table.schema, 1)
    list(made.train_cohort(instructions(start, clients), [table] * clients))
    assert sizes == ([clients] if taken else [])

from functools import partial

import numpy as np
import pytest
import torch

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError
from aeros_core.messages import Instruction
from aeros_core.schema import Field, Schema
from aeros_core.testing import TrainerTests
from aeros_torch.modules import models


class TestContract(TrainerTests):
    """The contract with plain SGD."""

    @pytest.fixture(autouse=True)
    def _made(self, trainer, mlp):
        self.make = lambda: trainer(mlp, lr=0.1, batch_size=16)


class TestContractOfTheRest(TrainerTests):
    """The contract with dropout, momentum, clipping and a schedule."""

    @pytest.fixture(autouse=True)
    def _made(self, trainer):
        model = partial(models.Mlp, hidden=[16, 8], activation="gelu", dropout=0.2)
        self.make = lambda: trainer(
            model,
            optimizer="adamw",
            lr=0.02,
            clip_norm=1.0,
            proximal_mu=0.01,
            scheduler="ExponentialLR",
            scheduler_options={"gamma": 0.99},
            warmup=2,
            epochs=2,
            batch_size=7,
        )


class TestContractOfNumbers(TrainerTests):
    """The contract of a regression on an lstm."""

    @pytest.fixture(autouse=True)
    def _made(self, trainer):
        lstm = partial(models.Lstm, embedding=2, hidden=8, layers=1, dropout=0.0)
        self.make = lambda: trainer(lstm, lr=0.1, momentum=0.5)

    def data(self):
        rng = np.random.default_rng(7)
        x = rng.standard_normal((60, 4, 2)).astype(np.float32)
        y = x.sum(axis=(1, 2))
        schema = Schema((Field("x", "float32", (4, 2)), Field("sum", "float32")), "sum")
        return Dataset(schema, {"x": x, "sum": y})


def test_learns_text(trainer):
    """Next character of a text that repeats: the lstm must learn all of it."""
    text = "to be or not to be, " * 12
    letters = tuple(sorted(set(text)))
    codes = np.array([letters.index(c) for c in text])
    windows = np.lib.stride_tricks.sliding_window_view(codes, 8)
    schema = Schema(
        (
            Field("text", "int64", (7,), categories=letters),
            Field("next", "int64", categories=letters),
        ),
        "next",
    )
    table = Dataset(schema, {"text": windows[:, :-1], "next": windows[:, -1]})
    lstm = partial(models.Lstm, embedding=6, hidden=24, layers=1, dropout=0.0)
    made = trainer(lstm, optimizer="adam", lr=0.02, epochs=10, batch_size=16)
    assert schema.mismatches(made.expects(schema)) == []
    start = made.initialise(schema, 0)
    trained = made.train(Instruction(1, "n", start, seed=1), table).parameters
    assert made.evaluate(start, table)["accuracy"] < 0.5
    assert made.evaluate(trained, table)["accuracy"] > 0.95


def test_learns_images(trainer):
    """Where a bright bar lies in an 8 by 8 image."""
    rng = np.random.default_rng(0)
    labels = np.arange(160) % 4
    images = 0.3 * rng.standard_normal((160, 8, 8)).astype(np.float32)
    images[np.arange(160), 2 * labels] += 1.0
    schema = Schema(
        (Field("image", "float32", (8, 8)), Field("row", "int64", categories=tuple("0246"))), "row"
    )
    table = Dataset(schema, {"image": images, "row": labels})
    cnn = partial(
        models.Cnn,
        channels=[4, 8],
        kernel=3,
        hidden=[16],
        padding="same",
        activation="relu",
        dropout=0.0,
    )
    made = trainer(cnn, lr=0.1, momentum=0.9, epochs=8, batch_size=16)
    start = made.initialise(schema, 0)
    trained = made.train(Instruction(1, "n", start, seed=1), table).parameters
    assert made.evaluate(trained, table)["accuracy"] > 0.95


def test_torchs_random_state_is_left_alone(trainer, data, small):
    table = data()
    torch.manual_seed(9)
    expected = torch.rand(4)
    torch.manual_seed(9)
    made = trainer(partial(small, dropout=0.5))
    start = made.initialise(table.schema, 1)
    made.train(Instruction(1, "n", start, seed=5), table)
    made.evaluate(start, table)
    assert torch.equal(torch.rand(4), expected)


def test_neither_threads_nor_gradient_mode_around_matter(trainer, data):
    table = data()
    made = trainer()
    start = made.initialise(table.schema, 1)
    sent = Instruction(1, "n", start, seed=5)
    expected = made.train(sent, table).parameters.digest
    before = torch.get_num_threads()
    torch.set_num_threads(before + 1)
    try:
        with torch.no_grad():
            assert made.train(sent, table).parameters.digest == expected
        assert torch.get_num_threads() == before + 1
    finally:
        torch.set_num_threads(before)


def test_rate_follows_the_round(trainer, data):
    table = data()
    halved = {"scheduler": "StepLR", "scheduler_options": {"step_size": 2, "gamma": 0.5}}
    made = trainer(lr=0.4, **halved)
    start = made.initialise(table.schema, 1)
    for number, rate in [(1, 0.4), (2, 0.4), (3, 0.2), (6, 0.1)]:
        there = trainer(lr=rate).train(Instruction(1, "n", start, seed=5), table)
        here = made.train(Instruction(number, "n", start, seed=5), table)
        assert here.parameters.digest == there.parameters.digest


def test_module_is_made_once_for_a_schema(trainer, data, small):
    made = []

    def model(inputs, outputs):
        made.append(inputs)
        return small(inputs=inputs, outputs=outputs)

    here, other = data(), data(shape=(2, 2))
    one = trainer(model)
    start = one.initialise(here.schema, 1)
    for seed in range(3):
        one.train(Instruction(1, "n", start, seed=seed), here)
        one.evaluate(start, here)
    assert made == [(5,)]
    metrics = one.evaluate(start, here)
    one.evaluate(one.initialise(other.schema, 1), other)
    assert one.evaluate(start, here) == metrics


def test_parameters_of_another_model_are_refused(trainer, data):
    here, other = data(), data(shape=(2, 2))
    made = trainer()
    start = made.initialise(here.schema, 1)
    with pytest.raises(ConfigError, match="the parameters are of another model"):
        made.train(Instruction(1, "n", start), other)
    with pytest.raises(ConfigError, match="the parameters are of another model"):
        made.evaluate(start, other)


def test_loss_that_does_not_go_with_the_target_is_refused_before_training(trainer, data):
    with pytest.raises(ConfigError, match="loss=nll is a loss of classes"):
        trainer(loss="nll").expects(data(values=0).schema)


@pytest.mark.parametrize(
    ("option", "value", "exists"),
    [
        ("epochs", 0, "1 or more"),
        ("batch_size", 0, "1 or more"),
        ("steps", 0, "1 or more"),
        ("threads", 0, "1 or more"),
        ("eval_batch_size", 0, "1 or more"),
        ("eval_threads", -1, "0 or more"),
        ("proximal_mu", -0.5, "0 or more"),
        ("proximal_mu", float("nan"), "0 or more"),
        ("clip_norm", 0.0, "above 0"),
        ("lr", -1.0, "0 or more"),
    ],
)
def test_values_out_of_range_are_refused_at_once(trainer, option, value, exists):
    with pytest.raises(ConfigError) as caught:
        trainer(**{option: value})
    assert f"trainer.{option} must be {exists}, got {value}\n  exists: {exists}" in str(
        caught.value
    )


def test_missing_device_is_refused_at_once(trainer):
    with pytest.raises(ConfigError, match="device=cuda:99 is not on this machine"):
        trainer(device="cuda:99")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adafactor"])
def test_cuda_agrees_with_the_cpu(trainer, data, normed, optimizer):
    table = data(64)
    there, here = (
        trainer(normed, optimizer=optimizer, epochs=3, batch_size=16, device=device)
        for device in ("cuda", "cpu")
    )
    start = here.initialise(table.schema, 1)
    assert there.initialise(table.schema, 1).digest == start.digest
    sent = Instruction(1, "n", start, seed=5)
    on_gpu, on_cpu = there.train(sent, table), here.train(sent, table)
    np.testing.assert_allclose(
        on_gpu.parameters.vector, on_cpu.parameters.vector, rtol=1e-3, atol=1e-4
    )
    assert there.train(sent, table).parameters.digest == on_gpu.parameters.digest
    assert there.evaluate(start, table) == pytest.approx(here.evaluate(start, table), rel=1e-4)

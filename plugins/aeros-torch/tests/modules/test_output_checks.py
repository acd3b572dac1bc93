"""Losses that outputs do not fit, and batches of one example, are refused before a round."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError
from aeros_core.messages import Instruction
from aeros_core.schema import Field, Schema
from aeros_torch import config
from aeros_torch.modules.early_exit import EarlyExit


def ending(layer, normed=None):
    """Return a model that ends with a layer."""

    class Ending(nn.Module):
        def __init__(self, *, inputs, outputs):
            super().__init__()
            middle = [normed()] if normed else []
            self.layers = nn.Sequential(
                nn.Flatten(), nn.Linear(int(np.prod(inputs)), 6), *middle, nn.Linear(6, outputs),
                layer,
            )  # fmt: skip

        def forward(self, x):
            return self.layers(x)

    return Ending


LOGITS, RELU = nn.Identity(), nn.ReLU()
UNFIT = [
    ("nll", {}, LOGITS, None, "log-probabilities", "trainer.loss=cross_entropy"),
    ("nll", {}, nn.Softmax(1), None, "log-probabilities", "trainer.loss=cross_entropy"),
    ("nll", {}, nn.LogSigmoid(), None, "log-probabilities", "trainer.loss=cross_entropy"),
    ("bce", {}, LOGITS, None, "probabilities, 0 to 1", "trainer.loss=bce_with_logits"),
    ("bce", {}, LOGITS, 0, "probabilities, 0 to 1", "trainer.loss=bce_with_logits"),
    ("bce", {}, nn.Tanh(), 0, "probabilities, 0 to 1", "trainer.loss=bce_with_logits"),
    ("bce", {}, RELU, 0, "probabilities, 0 to 1", "trainer.loss=bce_with_logits"),
    (
        "poisson_nll",
        {"log_input": False},
        LOGITS,
        0,
        "positive rates",
        "+trainer.loss_options.log_input=true",
    ),
]


@pytest.mark.parametrize(("loss", "options", "layer", "values", "takes", "hint"), UNFIT)
def test_a_loss_that_the_outputs_do_not_fit_is_refused(
    trainer, data, loss, options, layer, values, takes, hint
):
    made = trainer(ending(layer), loss=loss, loss_options=options)
    with pytest.raises(ConfigError) as refused:
        made.initialise(data(values=values).schema, 1)
    assert f"trainer.loss={loss} takes {takes}" in refused.value.asked
    assert hint in refused.value.hint


@pytest.mark.parametrize(
    ("loss", "options", "layer", "values"),
    [
        ("nll", {}, nn.LogSoftmax(1), None),
        ("bce", {}, nn.Sigmoid(), None),
        ("bce", {}, nn.Softmax(1), None),
        ("bce", {}, nn.Sigmoid(), 0),
        ("bce_with_logits", {}, LOGITS, 0),
        ("bce_with_logits", {}, LOGITS, None),
        ("cross_entropy", {}, LOGITS, None),
        ("multi_margin", {}, LOGITS, None),
        ("poisson_nll", {"log_input": False}, nn.Softplus(), 0),
        ("poisson_nll", {"log_input": False}, RELU, 0),
        ("poisson_nll", {}, LOGITS, 0),
        ("mse", {}, LOGITS, 0),
    ],
)
def test_a_loss_that_fits_passes_and_draws_nothing(trainer, data, loss, options, layer, values):
    schema = data(values=values).schema
    made = trainer(ending(layer), loss=loss, loss_options=options)
    plain = trainer(ending(layer))
    before = torch.random.get_rng_state()
    drawn = made.initialise(schema, 1)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert drawn.digest == plain.initialise(schema, 1).digest


def test_the_exit_of_a_model_is_looked_at_too(trainer, data):
    options = {"at": "layers.1", "hidden": [], "weight": 1.0, "joint": True}
    model = partial(EarlyExit, trunk=ending(nn.LogSoftmax(1)), **options)
    with pytest.raises(ConfigError, match="loss=nll takes log-probabilities"):
        trainer(model, loss="nll").initialise(data().schema, 1)
    trainer(model).initialise(data().schema, 1)


def classes(*names):
    return Schema((Field("x", "float32", (5,)), Field("label", "int64", categories=names)), "label")


@pytest.mark.parametrize("loss", ["auto", "cross_entropy", "nll", "multi_margin"])
def test_a_loss_of_one_class_is_refused(trainer, loss):
    with pytest.raises(ConfigError, match="of one class is the same whatever the model gives"):
        trainer(loss=loss).expects(classes("only"))
    trainer(loss=loss).expects(classes("a", "b"))


@pytest.mark.parametrize("loss", ["bce", "bce_with_logits"])
def test_a_loss_of_probabilities_is_refused_for_other_numbers(trainer, loss):
    def schema(low, high):
        target = Field("label", "float32", (), range=(low, high))
        return Schema((Field("x", "float32", (5,)), target), "label")

    for low, high in ((0, 5), (-1, 1)):
        with pytest.raises(ConfigError, match="takes targets from 0 to 1, and 'label' has"):
            trainer(loss=loss).expects(schema(low, high))
    trainer(loss=loss).expects(schema(0, 1))


def test_batches_of_one_example_do_not_go_with_batch_norm(trainer, data, normed):
    with pytest.raises(ConfigError) as refused:
        trainer(normed, batch_size=1).initialise(data().schema, 1)
    assert "trainer.batch_size=1 is too small for Normed" in refused.value.asked
    assert refused.value.hint.startswith("trainer.batch_size=2")
    trainer(normed, batch_size=2).initialise(data().schema, 1)
    trainer(batch_size=1).initialise(data().schema, 1)


class Pixels(nn.Module):
    """BatchNorm over pixels, which a single image has enough of."""

    def __init__(self, *, inputs, outputs):
        super().__init__()
        self.norm, self.last = nn.BatchNorm2d(1), nn.Linear(int(np.prod(inputs)), outputs)

    def forward(self, x):
        return self.last(self.norm(x).flatten(1))


def test_batch_norm_over_pixels_takes_one_image(trainer, data):
    table = data(6, shape=(1, 4, 4))
    made = trainer(Pixels, batch_size=1)
    start = made.initialise(table.schema, 1)
    assert start["norm.num_batches_tracked"] == 0  # the trial leaves no trace
    made.train(Instruction(1, "n", start, seed=3), table)


@pytest.mark.parametrize("examples", [17, 33])
def test_a_last_batch_of_one_row_joins_the_one_before(trainer, data, normed, examples):
    made = trainer(normed, batch_size=16)
    start = made.initialise(data().schema, 1)
    update = made.train(Instruction(1, "n", start, seed=3), data(examples))
    assert update.parameters["norm.num_batches_tracked"] == examples // 16


class Counting(nn.Module):
    """A model with buffers of many dtypes, which it changes as it trains."""

    def __init__(self, *, inputs, outputs):
        super().__init__()
        self.last = nn.Linear(int(np.prod(inputs)), outputs)
        for name in KINDS:
            self.register_buffer(name, torch.ones(3, dtype=getattr(torch, name)))

    def forward(self, x):
        if self.training:
            for name in KINDS:
                buffer = getattr(self, name)
                setattr(self, name, ~buffer if name == "bool" else (buffer + 1).to(buffer.dtype))
        return self.last(x.flatten(1))


KINDS = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float64")


@pytest.mark.parametrize("engine", [engine.value for engine in config.Engine])
def test_buffers_of_every_dtype_are_trained_and_sent_as_values(trainer, data, engine):
    table = data(32)
    try:
        made = trainer(Counting, engine=engine, batch_size=16, workers=1)
        start = made.initialise(table.schema, 1)
    except ConfigError as refused:
        pytest.skip(refused.asked)
    sent = [Instruction(1, f"n{i}", start, seed=i) for i in range(2)]
    for update in made.train_cohort(sent, [table, table]):
        for name in KINDS:
            expected = 1 if name == "bool" else 3  # two batches
            assert update.parameters[name].tolist() == [expected] * 3
            assert update.parameters[name].dtype == name


def test_complex_buffers_are_named(trainer, data):
    from aeros_core.numerics.dtypes import check_dtypes

    class Phased(nn.Module):
        def __init__(self, *, inputs, outputs):
            super().__init__()
            self.last = nn.Linear(int(np.prod(inputs)), outputs)
            self.register_buffer("phase", torch.zeros(3, dtype=torch.complex64))

        def forward(self, x):
            return self.last(x.flatten(1))

    start = trainer(Phased).initialise(data().schema, 1)
    with pytest.raises(ConfigError, match="tensor 'phase' of the model has dtype complex64"):
        check_dtypes(start.layout)


def test_a_dataset_of_one_row_is_a_failure_of_its_node(trainer, data, normed):
    table = data()
    made = trainer(normed, batch_size=16)
    start = made.initialise(table.schema, 1)
    one = Dataset(table.schema, table.columns, np.array([0]))
    (reply,) = made.train_cohort([Instruction(1, "n", start)], [one])
    assert "BatchNorm needs 2" in reply.reason

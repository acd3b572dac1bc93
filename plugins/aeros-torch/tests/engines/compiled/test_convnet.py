"""Convolutions trained by kernels against torch's."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_core.messages import Instruction
from aeros_torch.config import Activation
from aeros_torch.modules import models


def cnn(*channels, kernel=3, hidden=(6,), padding="same", activation="relu"):
    options = {"kernel": kernel, "hidden": list(hidden), "padding": padding}
    return partial(
        models.Cnn, channels=list(channels), activation=activation, dropout=0.0, **options
    )


@pytest.mark.parametrize("activation", [activation.name for activation in Activation])
def test_each_activation(agree, data, activation):
    agree(cnn(5, 3, activation=activation), [data(shape=(9, 8))], lr=0.1, epochs=2, batch_size=8)


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 2},
        {"momentum": 0.9, "weight_decay": 0.05, "optimizer_options": {"nesterov": True}},
        {"momentum": 0.9, "optimizer_options": {"dampening": 0.4}},
        {"proximal_mu": 0.7, "drift": 1.0},
        {"steps": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize("values", [None, 2], ids=["classes", "numbers"])
def test_each_option_with_each_target(agree, data, options, values):
    tables = [data(values=values, shape=(2, 6, 5)).take(np.arange(n)) for n in (21, 1, 10)]
    agree(cnn(4, 9), tables, lr=0.05, batch_size=8, **options)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_any_shape(agree, data):
    """Odd and even images, kernels and channels; squares that the border cuts."""

    @settings(max_examples=25, deadline=None)
    @given(
        image=st.tuples(st.integers(1, 3), st.integers(5, 13), st.integers(5, 13)),
        channels=st.lists(st.integers(1, 20), min_size=1, max_size=2),
        kernel=st.integers(1, 5),
        padding=st.sampled_from(["same", "valid"]),
        hidden=st.lists(st.integers(1, 9), max_size=1),
        batch=st.integers(1, 6),
    )
    def agrees(image, channels, kernel, padding, hidden, batch):
        if padding == "valid" and min(image[1:]) < kernel + 2 * (kernel - 1) * (len(channels) - 1):
            channels = channels[:1]
        model = cnn(*channels, kernel=kernel, padding=padding, hidden=hidden, activation="tanh")
        agree(model, [data(13, shape=image)], lr=0.05, batch_size=batch)

    agrees()


def test_plain_images_and_three_convolutions(agree, data):
    agree(cnn(3, 4, 5), [data(shape=(11, 7))], lr=0.1, batch_size=5)


def test_of_equal_pixels_the_first_is_taken(agree, data):
    """As in torch: whole images of one colour have nothing but equal pixels."""
    table = data(shape=(8, 8))
    table.columns["x"][:] = np.round(table.columns["x"][:, :1, :1])
    agree(cnn(4, padding="valid", activation="tanh"), [table], lr=0.1, batch_size=5)


def test_bits_depend_neither_on_workers_nor_on_the_rest_of_the_cohort(trainer, data):
    table = data(60, shape=(6, 6))
    tables = [table.take(rows) for rows in np.split(np.arange(60), (3, 25, 26))]
    digests = []
    for workers in (1, 3):
        made = trainer(cnn(4, 5), engine="compiled", workers=workers, lr=0.1, batch_size=4)
        start = made.initialise(table.schema, 1)
        sent = [Instruction(1, f"n{i}", start, seed=i) for i in range(len(tables))]
        digests.append([u.parameters.digest for u in made.train_cohort(sent, tables)])
    alone = [made.train(*pair).parameters.digest for pair in zip(sent, tables, strict=True)]
    assert digests == [alone, alone]


def test_row_outside_the_table_is_refused(trainer, data):
    table = data(shape=(4, 4)).take(np.array([0, 1]))
    made = trainer(cnn(4), engine="compiled")
    start = made.initialise(table.schema, 1)
    table.rows[1] = 99
    with pytest.raises(IndexError, match="outside the table"):
        made.train(Instruction(1, "n", start), table)


def test_training_that_diverges_comes_back(trainer, data):
    table = data(shape=(5, 5))
    made = trainer(cnn(4, 3), engine="compiled", lr=1e38, epochs=3, batch_size=8)
    update = made.train(Instruction(1, "n", made.initialise(table.schema, 1), seed=1), table)
    assert not np.isfinite(update.metrics["loss"])
    assert not np.isfinite(update.parameters.vector).all()

"""LSTMs trained by kernels against torch's."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_core.data import Dataset
from aeros_core.messages import Instruction
from aeros_core.schema import Field, Schema
from aeros_torch.modules import models


def lstm(hidden=6, layers=1, embedding=3):
    return partial(models.Lstm, embedding=embedding, hidden=hidden, layers=layers, dropout=0.0)


def text(examples=23, steps=7, codes=5):
    """Return sequences of codes and the code behind each."""
    rng = np.random.default_rng(4)
    names = tuple(f"c{k}" for k in range(codes))
    target = Field("next", "int64", categories=names)
    schema = Schema((Field("x", "int64", (steps,), categories=names), target), "next")
    x, behind = rng.integers(0, codes, (examples, steps)), rng.integers(0, codes, examples)
    return Dataset(schema, {"x": x, "next": behind})


@pytest.mark.parametrize(
    "options",
    [
        {"epochs": 2},
        {"momentum": 0.9, "weight_decay": 0.05, "optimizer_options": {"nesterov": True}},
        {"proximal_mu": 0.7, "drift": 1.0},
        {"steps": 7},
    ],
    ids=str,
)
@pytest.mark.parametrize("codes", [True, False], ids=["codes", "numbers"])
def test_each_option(agree, data, options, codes):
    table = text() if codes else data(23, shape=(7, 3), values=2)
    tables = [table.take(np.arange(n)) for n in (23, 1, 10)]
    agree(lstm(layers=2), tables, lr=0.3, batch_size=8, **options)


def test_any_shape(agree, data):
    """On either side of a panel's width and of a tile's rows."""

    @settings(max_examples=25, deadline=None)
    @given(
        steps=st.integers(1, 6),
        inputs=st.integers(1, 18),
        hidden=st.integers(1, 34),
        layers=st.integers(1, 3),
        batch=st.integers(1, 13),
        codes=st.booleans(),
    )
    def agrees(steps, inputs, hidden, layers, batch, codes):
        table = text(15, steps) if codes else data(15, shape=(steps, inputs))
        agree(lstm(hidden, layers, inputs), [table], lr=0.3, batch_size=batch)

    agrees()


def test_gates_that_are_wide_open(agree, data):
    """Inputs beyond the end of what tanh tells apart."""
    table = data(12, shape=(5, 4))
    table.columns["x"][:] *= 50
    agree(lstm(), [table], lr=0.1, batch_size=4)


def test_bits_depend_neither_on_workers_nor_on_the_rest_of_the_cohort(trainer):
    table = text(60)
    tables = [table.take(rows) for rows in np.split(np.arange(60), (3, 25, 26))]
    digests = []
    for workers in (1, 3):
        made = trainer(lstm(), engine="compiled", workers=workers, lr=0.1, batch_size=4)
        start = made.initialise(table.schema, 1)
        sent = [Instruction(1, f"n{i}", start, seed=i) for i in range(len(tables))]
        digests.append([u.parameters.digest for u in made.train_cohort(sent, tables)])
    alone = [made.train(*pair).parameters.digest for pair in zip(sent, tables, strict=True)]
    assert digests == [alone, alone]


@pytest.mark.parametrize(("column", "message"), [("x", "no category"), ("rows", "outside the")])
def test_codes_and_rows_that_do_not_exist_are_refused(trainer, column, message):
    table = text().take(np.array([0, 1]))
    made = trainer(lstm(), engine="compiled")
    start = made.initialise(table.schema, 1)
    if column == "x":
        table.columns["x"][1, 2] = 99
    else:
        table.rows[1] = 99
    with pytest.raises(IndexError, match=message):
        made.train(Instruction(1, "n", start), table)


def test_dropout_between_layers_falls_back(trainer):
    model = partial(models.Lstm, embedding=3, hidden=4, layers=2, dropout=0.5)
    made = trainer(model, engine="auto")
    table = text()
    update = made.train(Instruction(1, "n", made.initialise(table.schema, 1), seed=1), table)
    assert np.isfinite(update.metrics["loss"])

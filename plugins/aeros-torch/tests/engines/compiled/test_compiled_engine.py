"""The compiled engine against the sequential one, and the numbers of threads."""

import itertools
import logging
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_core.errors import ConfigError, DataError
from aeros_core.messages import Instruction
from aeros_core.parameters import Parameters
from aeros_core.testing import TrainerTests
from aeros_torch.config import Activation, Engine
from aeros_torch.modules import models


def mlp(*hidden, activation="relu"):
    return partial(models.Mlp, hidden=list(hidden), activation=activation, dropout=0.0)


class TestContract(TrainerTests):
    """The contract with everything that kernels can do."""

    @pytest.fixture(autouse=True)
    def _made(self, trainer):
        self.make = lambda: trainer(
            mlp(9, 5, activation="tanh"),
            engine="compiled",
            workers=2,
            lr=0.2,
            momentum=0.5,
            weight_decay=0.001,
            proximal_mu=0.01,
            epochs=2,
            batch_size=7,
            optimizer_options={"nesterov": True},
        )


@pytest.mark.parametrize("activation", [activation.name for activation in Activation])
def test_each_activation(agree, data, activation):
    agree(mlp(6, 5, activation=activation), [data()], lr=0.1, epochs=2, batch_size=8)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"weight_decay": 0.1},
        {"momentum": 0.9, "weight_decay": 0.05, "optimizer_options": {"nesterov": True}},
        {"momentum": 0.9, "optimizer_options": {"dampening": 0.4}},
        {"proximal_mu": 0.7},
        {"proximal_mu": 0.7, "momentum": 0.5, "weight_decay": 0.1},
        {"drift": 1.0},
        {"drift": 1.0, "proximal_mu": 0.7, "momentum": 0.5},
        {"steps": 11},
        {"steps": 2},
        {"scheduler": "StepLR", "scheduler_options": {"step_size": 1}, "warmup": 3},
    ],
    ids=str,
)
@pytest.mark.parametrize("values", [None, 0, 4], ids=["classes", "number", "numbers"])
def test_each_option_with_each_target(agree, data, options, values):
    table = data(values=values)
    tables = [table.take(np.arange(n)) for n in (37, 1, 20, 9)]
    more = {"epochs": 3, **options}
    agree(mlp(7), tables, lr=0.05, batch_size=8, **more)


def test_announced_proximal_mu_wins(agree, data):
    one = agree(mlp(4), [data()], lr=0.1, proximal_mu=5.0, scalars={"proximal_mu": 0.3})
    other = agree(mlp(4), [data()], lr=0.1, proximal_mu=0.3)
    assert one[0].parameters.digest == other[0].parameters.digest


@pytest.mark.parametrize("momentum", [None, 0.5])
def test_any_shape(agree, data, momentum):
    """Odd and even widths, on either side of a vector's length and of a tile's rows."""

    @settings(max_examples=40, deadline=None)
    @given(
        inputs=st.integers(1, 35),
        hidden=st.lists(st.integers(1, 19), max_size=3),
        sizes=st.lists(st.integers(1, 30), min_size=1, max_size=3),
        batch=st.integers(1, 12),
    )
    def agrees(inputs, hidden, sizes, batch):
        table = data(30, shape=(inputs,))
        tables = [table.take(np.arange(size)) for size in sizes]
        model = mlp(*hidden, activation="tanh")
        agree(model, tables, lr=0.05, batch_size=batch, momentum=momentum)

    agrees()


def test_shape_of_one_number(agree, data):
    agree(partial(models.Softmax), [data(shape=())], lr=0.1)
    agree(partial(models.Softmax), [data(shape=(3, 4, 2))], lr=0.1)


def test_bits_depend_neither_on_workers_nor_on_the_rest_of_the_cohort(trainer, data, monkeypatch):
    from aeros_torch.engines.compiled import engine

    monkeypatch.setattr(engine, "_WORK", 2e4)
    table = data(400)
    cuts = np.split(np.random.default_rng(3).permutation(400), np.arange(3, 400, 23))
    tables = [table.take(rows) for rows in cuts]
    digests = []
    for workers in (1, 2, 5):
        made = trainer(mlp(16), engine="compiled", workers=workers, lr=0.1, batch_size=4)
        start = made.initialise(table.schema, 1)
        sent = [Instruction(1, f"n{i}", start, seed=i) for i in range(len(tables))]
        updates = list(made.train_cohort(sent, tables))
        assert [update.node for update in updates] == [one.node for one in sent]
        digests.append([update.parameters.digest for update in updates])
    alone = [made.train(*pair).parameters.digest for pair in zip(sent, tables, strict=True)]
    assert digests == [alone, alone, alone]


def test_cohort_that_is_left_in_the_middle(trainer, data, monkeypatch):
    """A round that ends early leaves updates behind, and the next one is undisturbed."""
    from aeros_torch.engines.compiled import engine

    monkeypatch.setattr(engine, "_WORK", 1.0)
    table = data()
    made = trainer(mlp(4), engine="compiled", workers=2)
    start = made.initialise(table.schema, 1)
    sent = [Instruction(1, f"n{i}", start, seed=i) for i in range(20)]
    expected = made.train(sent[1], table).parameters.digest
    replies = made.train_cohort(sent, [table] * 20)
    next(replies)
    replies.close()
    again = list(made.train_cohort(sent, [table] * 20))
    assert [update.node for update in again] == [one.node for one in sent]
    assert again[1].parameters.digest == expected


def test_evaluation_of_many_rows_does_not_depend_on_workers(trainer, data):
    table = data(5000)
    one, several = (trainer(mlp(4), engine="compiled", workers=n) for n in (1, 3))
    plain = trainer(mlp(4), engine="sequential")
    start = one.initialise(table.schema, 1)
    assert one.evaluate(start, table) == several.evaluate(start, table)
    assert one.evaluate(start, table) == pytest.approx(plain.evaluate(start, table), rel=1e-4)


def test_order_without_the_kernel_is_the_same(trainer, data, monkeypatch):
    from aeros_torch.kernels import permutation

    tables = [data().take(np.arange(n)) for n in (30, 7)]
    made = trainer(mlp(4), engine="compiled", epochs=2, batch_size=4)
    start = made.initialise(tables[0].schema, 1)
    sent = [Instruction(1, f"n{i}", start, seed=i) for i in range(2)]
    expected = [update.parameters.digest for update in made.train_cohort(sent, tables)]
    monkeypatch.setattr(permutation, "agrees", lambda: False)
    assert [u.parameters.digest for u in made.train_cohort(sent, tables)] == expected


def test_members_of_different_kinds(trainer, data):
    """Other parameters, rounds and tables within one cohort."""
    first, second = data(), data(20)
    made = trainer(
        mlp(4), engine="compiled", scheduler="StepLR", scheduler_options={"step_size": 1}
    )
    starts = [made.initialise(first.schema, seed) for seed in (1, 2)]
    sent = [
        Instruction(number, f"n{number}{k}", start, seed=number)
        for number, (k, start) in itertools.product((1, 2), enumerate(starts))
    ]
    tables = [first, second, second, first]
    together = [update.parameters.digest for update in made.train_cohort(sent, tables)]
    alone = [made.train(i, table).parameters.digest for i, table in zip(sent, tables, strict=True)]
    assert together == alone
    assert len(set(alone)) == 4


def test_empty_member_fails_and_the_others_go_on(trainer, data):
    table = data()
    made = trainer(mlp(4), engine="compiled")
    start = made.initialise(table.schema, 1)
    sent = [Instruction(1, f"n{i}", start, seed=i) for i in range(3)]
    first, wrong, last = made.train_cohort(sent, [table, table.take(np.empty(0, np.int64)), table])
    assert [first.node, last.node] == ["n0", "n2"]
    assert (wrong.node, wrong.round) == ("n1", 1)
    assert wrong.reason.startswith("DataError: the data hold no example")
    assert last.parameters.digest == made.train(sent[2], table).parameters.digest
    assert list(made.train_cohort([], [])) == []


def test_training_that_diverges_comes_back(trainer, data):
    table = data()
    for options in ({}, {"momentum": 0.9}):
        for model in (models.Softmax, mlp(5)):
            made = trainer(model, engine="compiled", lr=1e38, epochs=3, batch_size=8, **options)
            start = made.initialise(table.schema, 1)
            update = made.train(Instruction(1, "n", start, seed=1), table)
            assert not np.isfinite(update.metrics["loss"])
            assert model is models.Softmax or not np.isfinite(update.parameters.vector).all()


def test_code_of_no_class_is_refused(trainer, data):
    table = data()
    table.columns["label"][3] = 7
    made = trainer(mlp(4), engine="compiled")
    start = made.initialise(table.schema, 1)
    with pytest.raises(DataError, match=r"field 'label' holds codes from 0 to 7\n.*0 to 2"):
        made.train(Instruction(1, "n", start), table)


def test_row_outside_the_table_is_refused(trainer, data):
    table = data().take(np.array([0, 1]))
    made = trainer(mlp(4), engine="compiled")
    start = made.initialise(table.schema, 1)
    table.rows[1] = 99
    with pytest.raises(IndexError, match="outside the table"):
        made.train(Instruction(1, "n", start), table)


def test_parameters_on_another_device_are_taken(trainer, data):
    table = data()
    made = trainer(mlp(4), engine="compiled")
    start = made.initialise(table.schema, 1)
    there = Parameters(start.layout, {"float32": torch.from_numpy(start.vector.copy())})
    first = made.train(Instruction(1, "n", start, seed=1), table)
    second = made.train(Instruction(1, "n", there, seed=1), table)
    assert first.parameters.digest == second.parameters.digest


def test_parameters_of_another_model_are_refused(trainer, data):
    made = trainer(mlp(4), engine="compiled")
    start = made.initialise(data(shape=(2,)).schema, 1)
    with pytest.raises(ConfigError, match="the parameters are of another model"):
        made.train(Instruction(1, "n", start), data())


CANNOT = {
    "the model is not a softmax, mlp, cnn or lstm without dropout": {
        "model": partial(models.Mlp, hidden=[4], activation="relu", dropout=0.5)
    },
    "trainer.clip_norm is set": {"clip_norm": 1.0},
    "the optimizer is Adam with options of its own": {"optimizer": "adam"},
    "the optimizer is SGD with options of its own": {"optimizer_options": {"maximize": True}},
    "the loss is not cross_entropy or mse as it is": {
        "loss": "cross_entropy",
        "loss_options": {"label_smoothing": 0.1},
    },
}


@pytest.mark.parametrize(("reason", "options"), CANNOT.items(), ids=list(CANNOT))
def test_what_kernels_cannot_train_falls_back_and_says_so(trainer, data, caplog, reason, options):
    table = data()
    asked = {"model": mlp(4), **options}
    with pytest.raises(ConfigError) as caught:
        trainer(**asked, engine="compiled").initialise(table.schema, 1)
    assert f"trainer.engine=compiled cannot train this: {reason}" in str(caught.value)
    assert "next: trainer.engine=auto" in str(caught.value)
    caplog.set_level(logging.INFO, "aeros_torch")
    made, plain = trainer(**asked), trainer(**asked, engine=Engine.sequential)
    start = made.initialise(table.schema, 1)
    sent = Instruction(1, "n", start, seed=3)
    made.initialise(table.schema, 2)
    for _ in range(2):
        digest = made.train(sent, table).parameters.digest
    assert digest == plain.train(sent, table).parameters.digest
    assert [r.getMessage() for r in caplog.records] == [
        f"trainer.engine=auto takes sequential: compiled cannot train this: {reason}"
    ]


def test_mse_of_classes_falls_back(trainer, data):
    with pytest.raises(ConfigError, match="the loss is not"):
        trainer(mlp(4), engine="compiled", loss="mse").initialise(data().schema, 1)


def test_auto_takes_kernels_where_it_can(trainer, data):
    table = data()
    auto, compiled = trainer(mlp(4)), trainer(mlp(4), engine="compiled")
    start = auto.initialise(table.schema, 1)
    sent = Instruction(1, "n", start, seed=3)
    assert auto.train(sent, table).parameters.digest == (
        compiled.train(sent, table).parameters.digest
    )

"""Explanations: shares add up to what the score changed by, and are exact where all is linear."""

import sys
from functools import partial

import numpy as np
import pytest
from written import CASES, CODES, LABEL, SERIES, VALUE, examples, made

from aeros_core.errors import ConfigError, PluginError
from aeros_core.roles.inferencer import SupportsExplanation
from aeros_core.schema import Field
from aeros_torch import config
from aeros_torch.inference.inferencer import TorchInferencer
from aeros_torch.modules import models

EXPLAINED = ["softmax", "mlp tanh", "cnn without padding", "lstm of numbers"]


@pytest.fixture
def loaded(defaults):
    def load(field, module, target=LABEL, **changes):
        options = {**defaults(config.TorchInferencer), "device": "cpu", **changes}
        inferencer = TorchInferencer(**options)
        inferencer.load(made(field, module, target), module)
        return inferencer

    return load


def added(shares):
    return np.sum([column.reshape(len(column), -1).sum(1) for column in shares.values()], 0)


@pytest.mark.parametrize("case", EXPLAINED)
@pytest.mark.parametrize("start", [None, 0.5])
def test_shares_add_up_to_the_change_of_the_score(loaded, case, start):
    field, module = CASES[case]
    inferencer, batch = loaded(field, module), examples(field, 6)
    assert isinstance(inferencer, SupportsExplanation)
    zeros = {name: np.full_like(column, start or 0.0) for name, column in batch.items()}
    columns, rows = np.array([0, 1, 2, 0, 1, 2]), np.arange(6)
    baseline = None if start is None else zeros
    shares, base = inferencer.explain(batch, columns, steps=300, baseline=baseline)
    scores = inferencer.predict(batch)["scores"][rows, columns]
    np.testing.assert_allclose(base, inferencer.predict(zeros)["scores"][rows, columns], atol=1e-6)
    assert {name: c.shape for name, c in shares.items()} == {n: c.shape for n, c in batch.items()}
    np.testing.assert_allclose(added(shares), scores - base, atol=2e-3)
    assert np.abs(shares[field.name]).max() > 1e-4


def test_shares_of_a_linear_model_are_weights_times_values(loaded):
    field = Field("x", "float32", (7,))
    inferencer, batch = loaded(field, models.Softmax, VALUE), examples(field, 4)
    (weight,) = (p for n, p in made(field, models.Softmax, VALUE).parameters.items() if "wei" in n)
    shares, base = inferencer.explain(batch, np.zeros(4, np.int64), steps=1, baseline=None)
    np.testing.assert_allclose(shares["x"], batch["x"] * weight, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(added(shares), inferencer.predict(batch)["scores"] - base, atol=1e-6)


def test_rows_are_explained_alone_as_they_are_together(loaded):
    field, module = CASES["mlp tanh"]
    batch, columns = examples(field, 5), np.array([2, 0, 1, 1, 0])
    whole, _ = loaded(field, module).explain(batch, columns, steps=20, baseline=None)
    few = loaded(field, module, batch_size=7)  # less than the points of one row
    parts, _ = few.explain(batch, columns, steps=20, baseline=None)
    np.testing.assert_allclose(parts[field.name], whole[field.name], atol=1e-6)
    none, base = few.explain(
        {field.name: batch[field.name][:0]}, columns[:0], steps=3, baseline=None
    )
    assert none[field.name].shape == (0, *field.shape)
    assert base.shape == (0,)


def test_explaining_leaves_answers_as_they_are(loaded):
    field, module = CASES["cnn"]
    inferencer, batch = loaded(field, module), examples(field, 3)
    before = inferencer.predict(batch)["scores"]
    inferencer.explain(batch, np.zeros(3, np.int64), steps=5, baseline=None)
    np.testing.assert_array_equal(inferencer.predict(batch)["scores"], before)


def test_what_has_no_gradients_is_told(loaded, monkeypatch):
    columns = np.zeros(2, np.int64)
    field, module = CASES["mlp tanh"]
    eight = loaded(field, module, quantise="int8")
    with pytest.raises(PluginError, match=r"inferencer\.quantise=int8 rounds"):
        eight.explain(examples(field, 2), columns, steps=5, baseline=None)
    codes = loaded(*CASES["lstm of codes"])
    with pytest.raises(PluginError, match="'text' holds codes, and integrated gradients follow"):
        codes.explain(examples(CODES, 2), columns, steps=5, baseline=None)
    with pytest.raises(ConfigError, match="no model is loaded"):
        TorchInferencer(
            device="cpu", batch_size=4, threads=1, execution="eager", quantise="none"
        ).explain({}, columns, steps=5, baseline=None)
    numbers = loaded(SERIES, partial(models.Lstm, embedding=1, hidden=4, layers=1, dropout=0.0))
    monkeypatch.setitem(sys.modules, "captum.attr", None)
    with pytest.raises(PluginError) as caught:
        numbers.explain(examples(SERIES, 2), columns, steps=5, baseline=None)
    assert str(caught.value) == (
        "explanations need captum, which is not installed\n"
        "  next: pip install 'aeros-torch[explain]'"
    )

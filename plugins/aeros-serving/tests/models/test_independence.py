"""Whether predictions of a row depend on the rows beside: found when a version is loaded."""

import numpy as np
import pytest

from aeros_core.data import Batch
from aeros_core.errors import RemoteError
from aeros_core.schema import Field
from aeros_serving.models.independence import ROWS, dependence
from aeros_serving.protocol.input_schema import InputSchema

RNG = np.random.default_rng(7)
WEIGHTS = RNG.standard_normal((64, 5)).astype(np.float32)
ROWS_OF_64 = InputSchema({"x": Field("x", "float32", (64,))}).different(ROWS)


def on(function, name="scores"):
    return lambda batch: {name: function(batch["x"])}


def sizes_noise(x):
    """A product in another order where there are several rows, as kernels do it."""
    if len(x) == 1:
        return x @ WEIGHTS
    order = RNG.permutation(64)
    return x[:, order] @ WEIGHTS[order]


def half_precision(x):
    """TF32 or bfloat16 in batches, as devices choose by shape."""
    return sizes_noise(x) * np.float32(1 if len(x) == 1 else 1.004)


@pytest.mark.parametrize(
    "predict",
    [
        on(lambda x: x @ WEIGHTS),
        on(sizes_noise),
        on(half_precision),
        on(lambda x: np.zeros(len(x))),
        on(lambda x: np.full((len(x), 2), np.nan)),
        on(lambda x: np.where(x > 0, np.inf, -np.inf)),
        on(lambda x: (x @ WEIGHTS).argmax(1), "label"),
        on(lambda x: np.array([f"{row.sum():.3f}" for row in x], dtype=object), "text"),
        on(lambda x: x > 0, "flags"),
        on(lambda x: x.astype(np.float64) * 1e200),
    ],
)
def test_rows_that_are_predicted_by_themselves_are_found_to_be(predict):
    assert dependence(predict, ROWS_OF_64) == ""


def dynamic_8_bits(x):
    scale = np.abs(x).max() / 127
    return np.round(x / scale) * scale @ WEIGHTS


CHANGES = "'scores' of a row changes with the rows beside it"
DIFFERS = "'scores' of a row alone differs from that among others"


@pytest.mark.parametrize(
    ("predict", "told"),
    [
        (on(lambda x: x - x.mean(axis=0)), CHANGES),
        (on(lambda x: x - 0.01 * x.mean(axis=0)), CHANGES),
        (on(lambda x: np.cumsum(x, axis=0)), CHANGES),
        (on(lambda x: np.cumsum(x[::-1], axis=0)[::-1]), CHANGES),
        (on(lambda x: x / np.abs(x).max()), CHANGES),
        (on(dynamic_8_bits), CHANGES),
        (on(lambda x: x - x.max(axis=0)), CHANGES),
        (on(lambda x: x * len(x)), DIFFERS),
        (on(lambda x: np.arange(len(x))), DIFFERS),
        (on(lambda x: np.full(len(x), x.argmax())), CHANGES),
        (on(lambda x: np.sort(x, axis=0)), CHANGES),
        (on(lambda x: x if len(x) == 1 else x[:, :5]), DIFFERS),
        (on(lambda x: x if len(x) == 1 else x.astype(np.float64)), DIFFERS),
        (on(lambda x: x[:2]), CHANGES),
        (
            lambda batch: {"a": batch["x"], "scores": batch["x"] - batch["x"].mean(0)},
            CHANGES,
        ),
    ],
)
def test_rows_that_depend_on_each_other_are_found(predict, told):
    assert dependence(predict, ROWS_OF_64).partition(", by ")[0] == told


@pytest.mark.parametrize("width", [1, 2, 3, 64])
@pytest.mark.parametrize("span", [None, (0.0, 1.0), (-5.0, 16.0)])
def test_8_bits_of_a_dynamic_range_are_found_and_explained(width, span):
    """What `DynamicQuantizeLinear` computes, before one matrix product: rows share a scale."""

    def predict(batch):
        x = batch["x"]
        low, high = min(x.min(), 0), max(x.max(), 0)
        scale = (high - low) / 255
        return {"scores": (np.round((x - low) / scale) * scale + low) @ weights}

    for seed in range(20):
        weights = np.random.default_rng(seed).standard_normal((width, 3))
        rows = InputSchema({"x": Field("x", "float32", (width,), span)}).different(ROWS)
        found = dependence(predict, rows)
        assert found.startswith(CHANGES), seed
        assert found.endswith(
            "of its largest value at most, as if 8 bits had the range of the batch"
        )


def test_a_model_of_one_row_at_a_time_is_found():
    def predict(batch: Batch) -> Batch:
        if len(batch["x"]) > 1:
            raise ValueError("expected 1 row")
        return batch

    assert dependence(predict, ROWS_OF_64) == "several rows at once fail (ValueError)"


def test_a_model_of_several_rows_alone_is_found():
    def predict(batch: Batch) -> Batch:
        if len(batch["x"]) == 1:
            raise ValueError("expected more")
        return batch

    assert dependence(predict, ROWS_OF_64) == "a row alone fails (ValueError)"


@pytest.mark.parametrize("error", [RemoteError("away"), KeyboardInterrupt()])
@pytest.mark.parametrize("when", [1, 2, 3, 4])
def test_what_says_nothing_of_the_model_is_raised(error, when):
    calls = []

    def predict(batch: Batch) -> Batch:
        calls.append(1)
        if len(calls) == when:
            raise error
        return batch

    with pytest.raises(type(error)):
        dependence(predict, ROWS_OF_64)


def test_small_components_are_held_against_their_own_size():
    """The mean that is mixed into the second value is a millionth of the first."""

    def predict(batch: Batch) -> Batch:
        x = batch["x"]
        return {"scores": np.stack([1e3 * x[:, 0], x[:, 1] + x[:, 1].mean()], axis=1)}

    assert dependence(predict, ROWS_OF_64).startswith(CHANGES)

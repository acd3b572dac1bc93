from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from aeros_core.errors import ConfigError
from aeros_core.schema import Field, Schema
from aeros_torch.modules.builder import build, input_schema, outputs
from aeros_torch.modules.models import Lstm, Softmax

CPU = torch.device("cpu")
LABEL = Field("label", "int64", categories=("a", "b", "c"))
IMAGE = Field("image", "float32", (4, 6), range=(0.0, 1.0), unit="grey")


class Reader(nn.Module):
    """A user's module that takes codes."""

    def __init__(self, *, inputs, outputs, categories=None, width=2):
        super().__init__()
        self.categories = categories
        self.embed = nn.Embedding(categories or 1, width)
        self.out = nn.Linear(width, outputs)

    def forward(self, x):
        return self.out(self.embed(x).mean(1))


def schema(*fields, target="label"):
    return Schema(fields, target)


def test_feature_of_any_shape_and_the_target(small):
    given = schema(IMAGE, LABEL)
    wanted = input_schema(given, small)
    assert wanted == schema(Field("image", "float32", (None, None)), LABEL)
    assert given.mismatches(wanted) == []


def test_several_features_are_one_field_too_many(small):
    given = schema(Field("age", "float32"), Field("name", "str"), LABEL)
    wanted = input_schema(given, small)
    assert wanted.names == ("features", "label")
    assert given.mismatches(wanted) == [
        "features: missing",
        "age: not expected",
        "name: not expected",
    ]


def test_wrong_dtype_is_a_mismatch(small):
    given = schema(Field("image", "uint8", (4, 6)), LABEL)
    assert given.mismatches(input_schema(given, small)) == ["image: dtype uint8, not float32"]


@pytest.mark.parametrize(
    ("target", "mismatch"),
    [
        (LABEL, []),
        (Field("label", "str", categories=("a",)), ["label: dtype str, not int64"]),
        (Field("label", "int64", (3,), categories=("a",)), ["label: 1 dimensions, not 0"]),
        (Field("label", "float64"), []),
        (Field("label", "int64", (2,), range=(0, 9), unit="C"), []),
        (Field("label", "str"), ["label: dtype str, not float32"]),
        (Field("label", "float32", (2, 2)), ["label: 2 dimensions, not 1"]),
    ],
)
def test_targets(small, target, mismatch):
    given = schema(IMAGE, target)
    assert given.mismatches(input_schema(given, small)) == mismatch


def test_module_may_say_what_it_wants():
    codes = Field("text", "int64", (8,), categories=("x", "y"))
    numbers = Field("signal", "float32", (8, 2))
    lstm = partial(Lstm, embedding=2, hidden=3, layers=1, dropout=0.0)
    assert input_schema(schema(codes, LABEL), lstm)["text"] == Field("text", "int64", (None,))
    assert input_schema(schema(numbers, LABEL), lstm)["signal"].shape == (None, None)


def test_module_that_takes_categories_gets_codes():
    codes = Field("text", "int64", (8,), categories=("x", "y"))
    assert input_schema(schema(codes, LABEL), Reader)["text"].dtype == "int64"
    made = build(schema(codes, LABEL), partial(Reader, width=5), CPU).module
    assert made.categories == 2
    plain = Field("text", "int64", (8,))
    assert input_schema(schema(plain, LABEL), Reader)["text"].dtype == "float32"


@pytest.mark.parametrize(
    ("target", "count"),
    [(LABEL, 3), (Field("label", "float32"), 1), (Field("label", "float32", (4,)), 4)],
)
def test_outputs(small, target, count):
    assert outputs(target) == count
    assert build(schema(IMAGE, target), small, CPU).module.second.out_features == count


def test_built_from_the_seed_and_nothing_else(small):
    first = build(schema(IMAGE, LABEL), small, CPU, 5).read().digest
    state = torch.get_rng_state()
    torch.rand(3)
    assert build(schema(IMAGE, LABEL), small, CPU, 5).read().digest == first
    assert build(schema(IMAGE, LABEL), small, CPU, 6).read().digest != first
    torch.set_rng_state(state)
    after = torch.rand(3)
    torch.set_rng_state(state)
    build(schema(IMAGE, LABEL), small, CPU, 7)
    assert torch.equal(torch.rand(3), after)


def test_trying_a_module_leaves_its_statistics_alone(normed):
    read = build(schema(IMAGE, LABEL), normed, CPU).read()
    assert read["norm.num_batches_tracked"] == 0
    assert (read["norm.running_mean"] == 0).all()


def test_lazy_layers_are_built():
    def lazy(inputs, outputs):
        return nn.Sequential(nn.Flatten(), nn.LazyLinear(outputs))

    read = build(schema(IMAGE, LABEL), lazy, CPU).read()
    assert read["1.weight"].shape == (3, 24)


def test_data_without_a_target_are_refused(small):
    with pytest.raises(ConfigError, match="no target, so there is nothing to train") as caught:
        input_schema(Schema((IMAGE,)), small)
    assert "exists: image" in str(caught.value)


def test_data_that_do_not_fit_are_refused(small):
    with pytest.raises(ConfigError, match="image: dtype uint8, not float32"):
        build(schema(Field("image", "uint8", (4,)), LABEL), small, CPU)


def test_unknown_lengths_are_refused():
    def any_length(inputs, outputs):
        return nn.LazyLinear(outputs)

    with pytest.raises(ConfigError, match="the shape of 'image' is not known"):
        build(schema(Field("image", "float32", (None, 3)), LABEL), any_length, CPU)


def wrong_width(inputs, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(24, outputs + 1))


def wrong_input(inputs, outputs):
    return nn.Sequential(nn.Flatten(), nn.Linear(7, outputs))


def not_a_module(inputs, outputs):
    return [inputs, outputs]


def gives_two(inputs, outputs):
    return nn.LSTM(6, outputs, batch_first=True)


def other_names(shape, classes):
    return nn.Linear(shape, classes)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (wrong_width, r"Sequential answers one example with \(1, 4\), not \(1, 3\)"),
        (wrong_input, r"cannot take an example of image: float32 \(4, 6\).*: mat1 and mat2"),
        (not_a_module, "trainer/model gives a list, not an nn.Module"),
        (gives_two, "LSTM answers one example with tuple, not"),
        (other_names, "trainer/model other_names cannot be built: .*'inputs'"),
    ],
)
def test_modules_that_do_not_fit_are_refused(model, message):
    with pytest.raises(ConfigError, match=message):
        build(schema(IMAGE, LABEL), model, CPU)


class Drawn(nn.Module):
    """A module whose parameters are drawn in every way, and a buffer that is not stored."""

    def __init__(self, *, inputs, outputs):
        super().__init__()
        self.first = nn.Linear(inputs[0], 6)
        nn.init.xavier_normal_(self.first.weight)
        self.second = nn.Linear(6, outputs)
        nn.init.orthogonal_(self.second.weight)
        self.scale = nn.Parameter(torch.empty(6).normal_())
        self.register_buffer("shift", torch.rand(6), persistent=False)
        self.register_buffer("seen", torch.zeros(6))

    def forward(self, x):
        return self.second(torch.tanh(self.first(x) * self.scale + self.shift + self.seen))


@pytest.mark.parametrize("model", [Drawn, "mlp"])
def test_parameters_that_are_held_are_taken_as_they_lie(data, mlp, model):
    """In the place of what would be drawn: nothing is copied, and all the rest is as it was."""
    model, schema = mlp if model == "mlp" else model, data().schema
    stored = build(schema, model, CPU, seed=7).read()
    network = build(schema, model, CPU, held=stored)
    copied = build(schema, model, CPU)
    copied.load(stored)
    x = torch.randn(4, 5)
    with torch.no_grad():
        torch.testing.assert_close(network.module(x), copied.module.eval()(x), rtol=0, atol=0)
    assert np.shares_memory(network.flat.numpy(), stored.vector)
    assert network.read().digest == stored.digest


def test_what_may_not_be_written_to_is_copied(data, mlp):
    stored = build(data().schema, mlp, CPU, seed=7).read()
    stored.vector.setflags(write=False)
    network = build(data().schema, mlp, CPU, held=stored)
    assert not np.shares_memory(network.flat.numpy(), stored.vector)
    assert network.read().digest == stored.digest


def test_parameters_of_another_model_are_not_held(data, mlp):
    stored = build(data().schema, Softmax, CPU).read()
    with pytest.raises(ConfigError, match="the parameters are of another model"):
        build(data().schema, mlp, CPU, held=stored)

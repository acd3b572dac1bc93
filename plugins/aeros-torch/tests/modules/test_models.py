from functools import partial

import numpy as np
import pytest
import torch

import aeros_torch
from aeros_core.errors import ConfigError
from aeros_core.schema import Field, Schema
from aeros_torch import config
from aeros_torch.config import Activation
from aeros_torch.modules.builder import build
from aeros_torch.modules.models import ACTIVATIONS, Cnn, Lstm, Mlp, Softmax

CPU = torch.device("cpu")
LABEL = Field("label", "int64", categories=tuple("abcde"))
DIGIT = Field("label", "int64", categories=tuple("0123456789"))
CLASSES = {"Softmax": Softmax, "Mlp": Mlp, "Cnn": Cnn, "Lstm": Lstm}


@pytest.fixture
def model(defaults):
    """Bind a registered model as core does, enums by name."""

    def make(name, **changes):
        option = aeros_torch.aeros_models()[name]
        values = {**defaults(option), **changes}
        plain = {k: getattr(v, "name", v) for k, v in values.items()}
        return partial(CLASSES[option._target_.rpartition(".")[2]], **plain)

    return make


def built(model, shape, dtype="float32", categories=None, label=LABEL):
    feature = Field("x", dtype, shape, categories=categories)
    return build(Schema((feature, label), "label"), model, CPU)


@pytest.mark.parametrize("shape", [(), (7,), (8, 8), (3, 5, 4)])
@pytest.mark.parametrize("name", ["softmax", "mlp"])
def test_dense_models_take_any_shape(model, name, shape):
    module = built(model(name), shape).module
    assert module(torch.randn(4, *shape)).shape == (4, 5)


@pytest.mark.parametrize("name", ["cnn", "lenet"])
@pytest.mark.parametrize(
    "shape", [(8, 8), (28, 28), (1, 28, 28), (3, 32, 32), (7, 9), (1, 1), (2, 5, 64)]
)
def test_cnn_takes_images(model, name, shape):
    module = built(model(name), shape).module
    assert module(torch.randn(4, *shape)).shape == (4, 5)


def test_cnn_has_the_shape_of_mcmahan_2017(model):
    """Section 3 of the paper counts 1,663,370 parameters for MNIST."""
    network = build(
        Schema(
            (Field("x", "float32", (28, 28)), Field("y", "int64", categories=tuple("0123456789"))),
            "y",
        ),
        model("cnn", channels=[32, 64], hidden=[512]),
        CPU,
    )
    assert len(network.weights) == 1_663_370


def test_mlp_has_the_shape_of_mcmahan_2017(model):
    """The 2NN of section 3 counts 199,210 parameters."""
    network = build(
        Schema(
            (Field("x", "float32", (784,)), Field("y", "int64", categories=tuple("0123456789"))),
            "y",
        ),
        model("mlp", hidden=[200, 200]),
        CPU,
    )
    assert len(network.weights) == 199_210


def test_valid_padding_is_smaller(model):
    valid, same = (built(model("cnn", padding=p), (28, 28)) for p in ("valid", "same"))
    assert len(valid.weights) < len(same.weights)
    assert valid.module.dense[0].in_features == 32 * 4 * 4


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("layers", [1, 2])
def test_lstm_reads_codes_and_numbers(model, layers, dropout):
    """Two layers with dropout between them, one without; torch warns of the other."""
    option = model("lstm", layers=layers, dropout=dropout, hidden=6)
    codes = built(option, (9,), "int64", tuple("xyz")).module
    assert codes.embedding.num_embeddings == 3
    assert codes(torch.randint(0, 3, (4, 9))).shape == (4, 5)
    assert built(option, (9, 2)).module(torch.randn(4, 9, 2)).shape == (4, 5)


def test_lstm_answers_after_the_last_step(model):
    module = built(model("lstm", hidden=6), (9, 2)).module.eval()
    x = torch.randn(1, 9, 2)
    other = x.clone()
    other[:, -1] += 1.0
    assert not torch.equal(module(x), module(other))
    states, _ = module.lstm(x)
    torch.testing.assert_close(module(x), module.linear(states[:, -1]))


@pytest.mark.parametrize("activation", Activation)
def test_activations_by_name_and_by_member(activation):
    assert set(ACTIVATIONS) == set(Activation)
    x = torch.randn(3, 4)
    outputs = []
    for given in (activation, activation.value):
        torch.manual_seed(0)
        made = Mlp(inputs=(4,), outputs=2, hidden=[3], activation=given, dropout=0.0)
        outputs.append(made(x))
        hidden = getattr(torch, activation.value, None) or getattr(
            torch.nn.functional, activation.value
        )
        expected = made.layers[2](hidden(made.layers[0](x)))
        torch.testing.assert_close(outputs[-1], expected)
    assert torch.equal(*outputs)


def test_dropout_drops_only_while_training():
    made = Mlp(inputs=(4,), outputs=2, hidden=[50], activation="relu", dropout=0.5)
    x = torch.randn(3, 4)
    assert not torch.equal(made(x), made(x))
    made.eval()
    assert torch.equal(made(x), made(x))


def test_softmax_is_linear():
    made = Softmax(inputs=(2, 3), outputs=4)
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32)
    weight, bias = (p.detach().numpy() for p in made.parameters())
    np.testing.assert_allclose(
        made(torch.from_numpy(x)).detach(), x.reshape(5, 6) @ weight.T + bias, atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("mlp", {"hidden": [0]}, r"trainer.model.hidden=\[0\] is not possible"),
        ("mlp", {"dropout": 1.0}, "trainer.model.dropout=1.0 is not possible"),
        ("mlp", {"activation": "step"}, "cannot be built: 'step' is not a valid Activation"),
        ("cnn", {"channels": [8, -1]}, r"trainer.model.channels=\[8, -1\] is not possible"),
        ("cnn", {"kernel": 0}, "trainer.model.kernel=0 is not possible"),
        ("cnn", {"padding": "valid"}, "trainer.model.kernel=5 is larger than what is left"),
        ("lstm", {"hidden": 0}, "trainer.model.hidden=0 is not possible"),
        ("lstm", {"layers": 0}, "trainer.model.layers=0 is not possible"),
        ("lstm", {"embedding": 0}, "trainer.model.embedding=0 is not possible"),
        ("lstm", {"dropout": -0.1}, "trainer.model.dropout=-0.1 is not possible"),
    ],
)
def test_what_cannot_be_is_refused(model, name, changes, message):
    with pytest.raises(ConfigError, match=message):
        built(model(name, **changes), (8, 8))


def test_kernel_that_does_not_fit_says_what_to_type(model):
    with pytest.raises(ConfigError) as caught:
        built(model("cnn", padding="valid"), (8, 8))
    assert "next: trainer.model.padding=same" in str(caught.value)


def test_codes_without_categories_are_refused(model):
    with pytest.raises(ConfigError, match="the field has no categories"):
        built(model("lstm"), (9,), "int64")


def test_models_say_what_they_want_of_other_shapes():
    """The shape a module wants, for a field that does not have it."""
    flat, codes = Field("x", "float32", (64,)), Field("x", "int64", (9, 9))
    assert Cnn.expects(flat).shape == (None, None)
    assert Cnn.expects(Field("x", "uint8", (3, 8, 8))) == Field("x", "float32", (None,) * 3)
    assert Lstm.expects(flat).shape == (None, None)
    assert Lstm.expects(codes) == Field("x", "int64", (None,))
    assert Mlp.expects(codes) == Field("x", "float32", (None, None))


def test_lenet_is_the_cnn_with_lenets_layers(model):
    assert config.Lenet._target_ == config.Cnn._target_
    network = built(model("lenet"), (28, 28))
    shapes = [tuple(p.shape) for p in network.parameters if p.ndim > 1]
    assert shapes == [(6, 1, 5, 5), (16, 6, 5, 5), (120, 784), (84, 120), (5, 84)]

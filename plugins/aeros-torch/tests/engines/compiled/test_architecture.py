"""What kernels are told of a network, against the network itself."""

from functools import partial

import pytest

from aeros_core.schema import Field, Schema
from aeros_torch.config import Activation
from aeros_torch.engines.compiled.architecture import (
    Convolutions,
    DenseArchitecture,
    Recurrence,
    recognise,
)
from aeros_torch.engines.compiled.kernel_set import kernels
from aeros_torch.modules import models


def found(trainer, model, *shape, **options):
    names = ("a", "b", "c")
    x = Field("x", "int64" if options.get("codes") else "float32", shape, categories=names)
    schema = Schema((x, Field("y", "int64", categories=names)), "y")
    made = trainer(model, engine="sequential")
    made.initialise(schema, 0)
    return recognise(made._made.context)


def cnn(**options):
    said = {"channels": [3, 4], "kernel": 3, "hidden": [5], "padding": "valid"}
    said |= {"activation": "tanh", "dropout": 0.0, **options}
    return partial(models.Cnn, **said)


def lstm(**options):
    return partial(
        models.Lstm, **{"embedding": 2, "hidden": 4, "layers": 2, "dropout": 0.0} | options
    )


def test_cnn(trainer):
    its = found(trainer, cnn(), 2, 12, 13)
    trunk = Convolutions((2, 12, 13), (3, 4), 3, same=False)
    assert its == DenseArchitecture(trunk, (16, 5, 3), Activation.tanh, "cross_entropy", {})
    assert found(trainer, cnn(padding="same"), 9, 9).trunk.same


def test_lstm(trainer):
    its = found(trainer, lstm(), 7, codes=True)
    assert its == DenseArchitecture(
        Recurrence(3, 2, 4, 2, 7), (4, 3), Activation.relu, "cross_entropy", {}
    )
    assert found(trainer, lstm(), 7, 6).trunk == Recurrence(None, 6, 4, 2, 7)


def test_dense(trainer):
    its = found(trainer, partial(models.Mlp, hidden=[6], activation="elu", dropout=0.0), 2, 4)
    assert its == DenseArchitecture(None, (8, 6, 3), Activation.elu, "cross_entropy", {})
    assert found(trainer, models.Softmax, 5).widths == (5, 3)


@pytest.mark.parametrize(
    ("model", "shape"), [(cnn(dropout=0.1), (12, 12)), (lstm(dropout=0.1), (7, 6))]
)
def test_dropout_is_refused(trainer, model, shape):
    assert found(trainer, model, *shape) == (
        "the model is not a softmax, mlp, cnn or lstm without dropout"
    )


def test_work_is_what_three_passes_multiply(trainer):
    """Forward, and back to weights and to inputs: multiplications counted by hand."""
    dense = 3.0 * (16 * 5 + 5 * 3)
    convolutions = 3.0 * (10 * 11 * 9 * 2 * 3 + 3 * 4 * 9 * 3 * 4)
    assert kernels(found(trainer, cnn(), 2, 12, 13)).work == dense + convolutions
    recurrent = 3.0 * 7 * 4 * (4 * (2 + 4) + 4 * (4 + 4))
    assert kernels(found(trainer, lstm(), 7, codes=True)).work == 3.0 * 12 + recurrent

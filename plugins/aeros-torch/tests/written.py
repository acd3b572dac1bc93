"""Models to be written as ONNX, and what compares the graphs with them."""

from functools import partial

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_torch.config import Activation
from aeros_torch.export.onnx import graph
from aeros_torch.modules import models
from aeros_torch.modules.builder import build

CPU = torch.device("cpu")
LABEL = Field("label", "int64", categories=("a", "b", "c"))
VALUE = Field("value", "float32")
IMAGE = Field("image", "float32", (9, 10))
COLOUR = Field("image", "float32", (3, 8, 8))
CODES = Field("text", "int64", (5,), categories=tuple("xyz"))
SERIES = Field("series", "float32", (5, 3))
CNN = partial(models.Cnn, channels=[4, 6], hidden=[12], dropout=0.5)
MLP = partial(models.Mlp, dropout=0.5)
LSTM = partial(models.Lstm, embedding=4, hidden=8, dropout=0.5)

CASES = {
    "softmax": (Field("x", "float32", (7,)), models.Softmax),
    "softmax of images": (IMAGE, models.Softmax),
    **{
        f"mlp {function.value}": (IMAGE, partial(MLP, hidden=[16, 8], activation=function))
        for function in Activation
    },
    "cnn": (IMAGE, partial(CNN, kernel=5, padding="same", activation="relu")),
    "cnn of even kernel": (IMAGE, partial(CNN, kernel=4, padding="same", activation="tanh")),
    "cnn without padding": (COLOUR, partial(CNN, kernel=3, padding="valid", activation="relu")),
    "lstm of codes": (CODES, partial(LSTM, layers=2)),
    "lstm of numbers": (SERIES, partial(LSTM, layers=1)),
}  # fmt: skip


def made(field, module, target=LABEL, seed=3):
    schema = Schema((field, target), target.name)
    return Model("m", build(schema, module, CPU, seed).read(), schema)


def examples(field, rows):
    rng = np.random.default_rng(rows)
    if field.dtype == "int64":
        return {field.name: rng.integers(0, 3, (rows, *field.shape))}
    return {field.name: rng.standard_normal((rows, *field.shape)).astype(np.float32)}


def run(data, batch):
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, batch), strict=True))


def compare(field, module, target=LABEL):
    data, answer = graph(made(field, module, target), module)
    for rows in (1, 6):
        batch = examples(field, rows)
        here, there = run(data, batch), answer(batch)
        assert here.keys() == there.keys()
        for name, column in there.items():
            assert (here[name].dtype, here[name].shape) == (column.dtype, column.shape)
            np.testing.assert_allclose(here[name], column, rtol=1e-4, atol=1e-6)
    onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
    return onnx.load_model_from_string(data)


class Block(nn.Module):
    """What is drawn by torch's own exporter: a norm and a way round it."""

    def __init__(self, *, inputs, outputs):
        super().__init__()
        self.first = nn.Linear(int(np.prod(inputs)), 6)
        self.norm = nn.BatchNorm1d(6)
        self.last = nn.Linear(6, outputs)

    def forward(self, x):
        x = self.first(x.flatten(1))
        return self.last(x + torch.relu(self.norm(x)))

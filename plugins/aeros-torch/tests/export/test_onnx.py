"""Graphs answer as the inferencer does; onnxruntime is what runs them elsewhere."""

from functools import partial

import numpy as np
import pytest
from torch import nn
from written import CASES, IMAGE, LABEL, VALUE, Block, compare, made

from aeros_core.errors import ConfigError
from aeros_core.schema import Field
from aeros_torch.export.onnx import graph
from aeros_torch.modules import models


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("case", CASES)
def test_a_graph_answers_as_the_module_does(case):
    compare(*CASES[case])


@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_numbers_have_the_shape_of_the_target(shape):
    compare(IMAGE, models.Softmax, Field("value", "float32", shape))


def test_nodes_and_initialisers_are_called_as_layers_and_parameters_are():
    proto = compare(*CASES["cnn"])
    assert [node.name for node in proto.graph.node] == [
        "channels",
        *(f"convolutions.{n}" for n in range(6)),
        "flatten",
        *("dense.0", "dense.1", "dense.3"),
        *("scores", "label"),
    ]
    named = {t.name for t in proto.graph.initializer}
    assert {"convolutions.0.weight", "convolutions.3.bias", "dense.3.weight"} <= named


@pytest.mark.parametrize("target", [LABEL, VALUE])
def test_a_module_of_ones_own_is_written_too(target):
    proto = compare(IMAGE, Block, target)
    assert {"first", "last"} <= {node.name.rpartition("/")[0] for node in proto.graph.node}


class Stubborn(nn.Module):
    """A module whose way depends on the values it is given."""

    def __init__(self, *, inputs, outputs):
        super().__init__()
        self.last = nn.Linear(int(np.prod(inputs)), outputs)

    def forward(self, x):
        out = self.last(x.flatten(1))
        return out * 2 if out.detach().sum().item() > 0 else out


def test_a_module_that_cannot_be_written_is_named(capfd):
    with pytest.raises(ConfigError, match="Stubborn cannot be written as ONNX: ") as caught:
        graph(made(IMAGE, Stubborn), Stubborn)
    assert caught.value.hint.startswith("export it as safetensors")
    assert capfd.readouterr().err == ""


def test_what_is_no_module_is_left_to_others():
    assert graph(made(IMAGE, models.Softmax), lambda **options: None) is None


def test_parameters_of_another_module_are_refused():
    with pytest.raises(ConfigError, match="the parameters are of another model"):
        graph(
            made(IMAGE, models.Softmax),
            partial(models.Mlp, hidden=[4], activation="relu", dropout=0),
        )

"""A model with an exit; oracles are the model without it, and losses added by hand."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from written import CASES, CODES, IMAGE, Block, compare, made

from aeros_core.errors import ConfigError
from aeros_core.messages import Instruction
from aeros_torch.engines.processes.trainer_spec import draw, rebuild
from aeros_torch.modules import models
from aeros_torch.modules.early_exit import EarlyExit

MLP = partial(models.Mlp, hidden=[16, 12], activation="tanh", dropout=0.0)


def early(trunk=MLP, at="layers.1", **changes):
    options = {"hidden": [], "weight": 0.3, "joint": True, **changes}
    return partial(EarlyExit, trunk=trunk, at=at, **options)


def trained(trainer, model, data, start=None, engine="sequential"):
    made = trainer(model, engine=engine, lr=0.1, batch_size=8)
    start = start or made.initialise(data.schema, 3)
    return next(made.train_cohort([Instruction(1, "a", start, seed=5)], [data]))


def test_in_training_both_answer_and_else_the_whole_alone(trainer, data):
    network = trainer(early()).context(data().schema).network.module
    x = torch.randn(4, 5)
    both = network.train()(x)
    assert both.shape == (4, 2, 3)
    torch.testing.assert_close(network.eval()(x), network.trunk(x))
    torch.testing.assert_close(both[:, 0], network.trunk(x))
    layers = network.trunk.layers
    by_hand = network.exit[0](layers[1](layers[0](x)))
    torch.testing.assert_close(both[:, 1], by_hand)


def test_the_loss_is_that_of_the_whole_and_a_share_of_the_exits(trainer, data):
    context = trainer(early()).context(data().schema)
    module, x, y = context.network.module.train(), torch.randn(6, 5), torch.arange(6) % 3
    whole, exit_ = module.both(x)
    by_hand = F.cross_entropy(whole, y) + 0.3 * F.cross_entropy(exit_, y)
    torch.testing.assert_close(context.criterion(module(x), y), by_hand)
    torch.testing.assert_close(context.criterion(module.eval()(x), y), F.cross_entropy(whole, y))


def test_an_exit_alone_leaves_the_trunk_as_it_would_be_without(trainer, data):
    rows = data(40)
    plain = trained(trainer, MLP, rows).parameters
    alone = trained(trainer, early(joint=False), rows).parameters
    joint = trained(trainer, early(), rows).parameters
    for name, tensor in plain.items():
        np.testing.assert_array_equal(alone[f"trunk.{name}"], tensor)
    assert any((joint[f"trunk.{n}"] != t).any() for n, t in plain.items())
    start = trainer(early(joint=False)).initialise(rows.schema, 3)
    assert (alone["exit.0.weight"] != start["exit.0.weight"]).all()


def test_engines_agree(trainer, data):
    rows = data(40)
    here = trained(trainer, early(hidden=[7]), rows)
    stacked = trained(trainer, early(hidden=[7]), rows, engine="cohort")
    np.testing.assert_allclose(stacked.parameters.vector, here.parameters.vector, atol=2e-6)
    assert stacked.metrics["loss"] == pytest.approx(here.metrics["loss"], rel=1e-5)


def test_another_process_builds_the_same(trainer, data):
    context = trainer(early()).context(data().schema)
    again = rebuild(draw(context), "cpu")
    assert again.network.layout == context.network.layout
    assert again.network.module.trunk.layers[1].__class__ is nn.Tanh

    def local(inputs, outputs):
        return models.Softmax(inputs=inputs, outputs=outputs)

    odd = trainer(early(local, "linear")).context(data().schema)
    assert "is not in a module of its own" in draw(odd)


def test_codes_pass_through_the_exit_of_an_lstm():
    lstm = partial(models.Lstm, embedding=4, hidden=8, layers=1, dropout=0.0)
    compare(CODES, early(lstm, "embedding"))


@pytest.mark.parametrize("case", ["mlp relu", "cnn"])
def test_a_graph_answers_at_the_exit_too(case):
    field, trunk = CASES[case]
    at = {"mlp relu": "layers.2", "cnn": "convolutions.2"}[case]  # one of them is dropout
    proto = compare(field, early(trunk, at, hidden=[5]))
    names = ["scores", "label", "exit.scores", "exit.label"]
    assert [output.name for output in proto.graph.output] == names
    assert "exit.2" in [node.name for node in proto.graph.node]
    assert not any("/" in node.name for node in proto.graph.node)  # drawn, not exported


def test_the_exit_of_a_module_of_ones_own_is_written_too():
    proto = compare(IMAGE, early(Block, "norm"))
    assert {"first", "last", "exit.0"} <= {n.name.rpartition("/")[0] for n in proto.graph.node}


@pytest.mark.parametrize(
    ("model", "said", "exists"),
    [
        (early(at=""), "trainer.model.at= is no layer of Mlp", "layers, layers.0, layers.1, layer"),
        (early(at="nowhere"), "trainer.model.at=nowhere is no layer of Mlp", "layers, layers.0"),
        (early(early()), r"trunk=early_exit is not possible: one exit is all there is", ""),
        (early(hidden=[4, 0]), r"trainer.model.hidden=\[4, 0\] is not possible", "1 or more"),
        (early(weight=0.0), "trainer.model.weight=0.0 is not possible", "above 0"),
    ],
)
def test_exits_that_cannot_be(model, said, exists):
    with pytest.raises(ConfigError, match=said) as caught:
        made(IMAGE, model)
    assert caught.value.exists.startswith(exists)


def test_a_layer_that_gives_several_things_is_no_place_for_an_exit():
    lstm = partial(models.Lstm, embedding=4, hidden=8, layers=1, dropout=0.0)
    with pytest.raises(ConfigError, match="at=lstm is a layer that gives no tensor of examples"):
        made(CODES, early(lstm, "lstm"))


def test_numbers_have_no_exit(trainer, data):
    with pytest.raises(ConfigError, match="answers classes it is sure of, and 'label' is a number"):
        trainer(early()).initialise(data(values=1).schema, 0)

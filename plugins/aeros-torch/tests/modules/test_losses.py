import pytest
import torch
from torch.nn import functional as F

from aeros_core.errors import ConfigError
from aeros_core.schema import Field
from aeros_torch.modules.losses import CLASS_LOSSES, NUMBER_LOSSES, Loss

LABEL = Field("label", "int64", categories=("a", "b", "c"))
VALUE = Field("value", "float32")


@pytest.fixture
def output():
    return torch.rand((4, 3), generator=torch.Generator().manual_seed(0)) * 0.8 + 0.1


CODES = torch.tensor([0, 2, 1, 2])


def test_auto_follows_the_target(output):
    loss = Loss(name="auto", options={})
    assert torch.equal(loss.of(LABEL)(output, CODES), F.cross_entropy(output, CODES))
    values = torch.rand(4, 3)
    assert torch.equal(loss.of(VALUE)(output, values), F.mse_loss(output, values))


@pytest.mark.parametrize("name", CLASS_LOSSES)
def test_losses_of_classes(name, output):
    expected = CLASS_LOSSES[name](output, CODES)
    assert torch.equal(Loss(name=name, options={}).of(LABEL)(output, CODES), expected)


@pytest.mark.parametrize("name", NUMBER_LOSSES)
def test_losses_of_numbers_take_classes_one_hot(name, output):
    loss = Loss(name=name, options={})
    hot = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 1]])
    expected = NUMBER_LOSSES[name](output, hot)
    assert torch.equal(loss.of(VALUE)(output, hot), expected)
    assert torch.equal(loss.of(LABEL)(output, CODES), expected)


@pytest.mark.parametrize("name", ["mse", "MSE", "mse_loss", "l1_loss", "smoothl1"])
def test_names_are_forgiving(name):
    Loss(name=name, options={})


def test_options_reach_the_function(output):
    loss = Loss(name="cross_entropy", options={"label_smoothing": 0.2})
    expected = F.cross_entropy(output, CODES, label_smoothing=0.2)
    assert torch.equal(loss.of(LABEL)(output, CODES), expected)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("hinge", {}, "trainer.loss=hinge does not exist"),
        ("auto", {"delta": 1}, "trainer.loss_options.delta is not an option of loss auto"),
        ("huber", {"beta": 1}, "trainer.loss_options.beta is not an option of huber"),
        ("huber", {"delta": -1.0}, "trainer.loss=huber cannot be made with delta=-1.0: "),
        ("cross_entropy", {"reduction": "sum"}, "reduction is not an option of cross_entropy"),
    ],
)
def test_what_cannot_be_is_refused_at_once(name, options, message):
    with pytest.raises(ConfigError, match=message):
        Loss(name=name, options=options)


def test_loss_of_classes_needs_classes():
    with pytest.raises(
        ConfigError, match="is a loss of classes, and 'value' is a number"
    ) as caught:
        Loss(name="nll", options={}).of(VALUE)
    assert "next: trainer.loss=mse" in str(caught.value)

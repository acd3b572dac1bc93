import numpy as np
import pytest
import torch
from torch import nn

from aeros_core.errors import ConfigError
from aeros_core.parameters import Parameters
from aeros_torch.modules.flat_module import FlatModule

CPU = torch.device("cpu")


class Everything(nn.Module):
    """Trainable, frozen and tied parameters; buffers of three dtypes, one not persistent."""

    def __init__(self):
        super().__init__()
        self.frozen = nn.Parameter(torch.randn(2, 2), requires_grad=False)
        self.first = nn.Linear(3, 3)
        self.norm = nn.BatchNorm1d(3)
        self.tied = nn.Linear(3, 3, bias=False)
        self.tied.weight = self.first.weight
        self.register_buffer("mask", torch.tensor([True, False, True]))
        self.register_buffer("cache", torch.ones(4), persistent=False)
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        self.mean = 0.5 * self.mean + 0.5 * x.mean(0).detach()
        return self.tied(self.norm(self.first(x)))


@pytest.fixture
def everything():
    torch.manual_seed(0)
    return Everything()


def test_layout_has_trainable_first_then_frozen_then_buffers(everything):
    network = FlatModule(everything, CPU)
    assert [(t.name, t.dtype) for t in network.layout.tensors] == [
        ("first.weight", "float32"),
        ("first.bias", "float32"),
        ("norm.weight", "float32"),
        ("norm.bias", "float32"),
        ("frozen", "float32"),
        ("mask", "bool"),
        ("mean", "float32"),
        ("norm.running_mean", "float32"),
        ("norm.running_var", "float32"),
        ("norm.num_batches_tracked", "int64"),
    ]
    assert len(network.weights) == 9 + 3 + 3 + 3


def test_values_are_the_modules(everything):
    before = {name: t.clone() for name, t in everything.state_dict().items()}
    network = FlatModule(everything, CPU)
    read = network.read()
    for name, tensor in before.items():
        torch.testing.assert_close(everything.state_dict()[name], tensor, rtol=0, atol=0)
        if name != "tied.weight":
            np.testing.assert_array_equal(read[name], tensor.numpy())


def test_parameters_are_views_of_the_weights(everything):
    network = FlatModule(everything, CPU)
    network.weights.fill_(2.0)
    assert all((p == 2.0).all() for p in everything.parameters() if p.requires_grad)
    assert (everything.tied.weight == 2.0).all()
    assert not (everything.frozen == 2.0).any()


def test_load_and_read_round_trip(everything):
    network = FlatModule(everything, CPU)
    rng = np.random.default_rng(0)
    drawn = {d: (100 * rng.random(n)).astype(d) for d, n in network.layout.sizes.items()}
    sent = Parameters(network.layout, drawn)
    network.load(sent)
    assert network.read().digest == sent.digest
    np.testing.assert_array_equal(everything.norm.running_var.numpy(), sent["norm.running_var"])
    assert int(everything.norm.num_batches_tracked) == int(sent["norm.num_batches_tracked"])


def test_what_was_read_does_not_change(everything):
    network = FlatModule(everything, CPU)
    read = network.read()
    digest = read.digest
    network.weights.zero_()
    assert read.digest == digest


def test_buffers_that_the_module_moves_on_are_read(everything):
    """In place, as BatchNorm does, and by another tensor, as user code does."""
    network = FlatModule(everything, CPU)
    x = torch.randn(8, 3)
    everything(x)
    read = network.read()
    assert int(read["norm.num_batches_tracked"]) == 1
    np.testing.assert_array_equal(read["mean"], 0.5 * x.mean(0).numpy())
    network.load(read)
    np.testing.assert_array_equal(everything.mean.numpy(), read["mean"])
    everything(x)
    np.testing.assert_allclose(network.read()["mean"], 0.75 * x.mean(0).numpy(), rtol=1e-6)


def test_loads_from_any_device_that_speaks_dlpack(everything):
    network = FlatModule(everything, CPU)
    vectors = {d: torch.ones(n, dtype=getattr(torch, d)) for d, n in network.layout.sizes.items()}
    network.load(Parameters(network.layout, vectors))
    assert (network.weights == 1.0).all()


@pytest.mark.parametrize(("norm", "needs"), [(nn.BatchNorm1d, True), (nn.LayerNorm, False)])
def test_knows_when_one_example_is_too_few(norm, needs):
    assert FlatModule(nn.Sequential(nn.Linear(2, 2), norm(2)), CPU).needs_pairs is needs


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (nn.Linear(3, 3, bias=False), "'bias' is missing"),
        (nn.Linear(4, 3), r"'weight' is float32 \(3, 4\), not float32 \(3, 3\)"),
        (nn.Bilinear(3, 1, 3), r"'weight' is float32 \(3, 3, 1\)"),
    ],
)
def test_parameters_of_another_model_are_refused(other, message):
    network = FlatModule(nn.Linear(3, 3), CPU)
    with pytest.raises(ConfigError, match=f"the parameters are of another model: {message}"):
        network.load(FlatModule(other, CPU).read())


def test_extra_and_reordered_tensors_are_named():
    network = FlatModule(nn.Linear(3, 3, bias=False), CPU)
    with pytest.raises(ConfigError, match="'bias' is not in this one"):
        network.load(FlatModule(nn.Linear(3, 3), CPU).read())
    pair = {"weight": np.zeros((3, 3), np.float32), "bias": np.zeros(3, np.float32)}
    turned = Parameters.of({"bias": pair["bias"], "weight": pair["weight"]})
    with pytest.raises(ConfigError, match="its tensors are in another order"):
        FlatModule(nn.Linear(3, 3), CPU).load(turned)


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (nn.Linear(2, 2).double(), "parameter 'weight' is torch.float64"),
        (nn.Flatten(), "the model has no parameter to train"),
        (nn.Linear(2, 2).requires_grad_(False), "the model has no parameter to train"),
    ],
)
def test_what_cannot_be_trained_is_refused(module, message):
    with pytest.raises(ConfigError, match=message):
        FlatModule(module, CPU)


def test_dtype_that_numpy_lacks_is_refused():
    module = nn.Linear(2, 2)
    module.register_buffer("narrow", torch.ones(2, dtype=torch.bfloat16))
    with pytest.raises(ConfigError, match="'narrow' is bfloat16, which numpy does not have"):
        FlatModule(module, CPU)


def test_dtype_that_another_package_added_to_numpy_is_refused():
    pytest.importorskip("ml_dtypes", reason="no package that adds dtypes to numpy")
    module = nn.Linear(2, 2)
    module.register_buffer("narrow", torch.ones(2, dtype=torch.bfloat16))
    with pytest.raises(ConfigError, match="'narrow' is bfloat16, which numpy does not have"):
        FlatModule(module, CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_round_trip_on_cuda(everything):
    sent = FlatModule(Everything(), CPU).read()
    network = FlatModule(everything, torch.device("cuda:0"))
    network.load(sent)
    assert network.read().digest == sent.digest
    assert all(tensor.is_cuda for tensor in everything.state_dict().values())

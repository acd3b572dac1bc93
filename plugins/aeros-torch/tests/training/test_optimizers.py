"""Flat steps against ``torch.optim`` on the module's own tensors, as anyone writes it."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from aeros_core.errors import ConfigError
from aeros_torch.modules.flat_module import FlatModule
from aeros_torch.training.flat_optimizers import FlatGradient, PlainSgd, Sgd
from aeros_torch.training.optimizers import OPTIMIZERS, Optimizer

CPU = torch.device("cpu")
BATCHES = [torch.randn(8, 5, generator=torch.Generator().manual_seed(s)) for s in range(6)]

CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.5, "dampening": 0.3}),
    ("SGD", {"weight_decay": 0.2}),
    ("SGD", {"momentum": 0.5, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"weight_decay": 0.1, "amsgrad": True, "betas": (0.8, 0.9)}),
    ("AdamW", {"weight_decay": 0.1}),
    ("Adagrad", {}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adadelta", {}),
    ("Adamax", {}),
    ("NAdam", {}),
    ("RAdam", {}),
    ("Rprop", {}),
    ("ASGD", {"weight_decay": 0.01}),
    ("Adafactor", {}),
    ("LBFGS", {"max_iter": 5}),
]


def module() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))


def loss_of(net, x):
    return net(x).square().mean() + net(x).exp().mean()


def optimizer(name, lr=0.05, **options):
    own = {k: options.pop(k, None) for k in ("momentum", "weight_decay")}
    return Optimizer(name=name, lr=lr, options=options, **own)


def steps_of_ours(name, options, mu=0.0, clip=None, lr=0.05):
    network = FlatModule(module(), CPU)
    slope = FlatGradient(network, mu, clip)
    descend = optimizer(name, lr, **options).start(network, slope, lr)
    losses = []
    for x in BATCHES:

        def batch(x=x):
            loss = loss_of(network.module, x)
            return loss.detach(), torch.autograd.grad(loss, network.parameters)

        losses.append(float(descend(batch)))
    return network.weights.clone(), losses


def steps_of_torch(name, options, mu=0.0, clip=None, lr=0.05):
    net = module()
    start = [p.detach().clone() for p in net.parameters()]
    made = OPTIMIZERS[name](net.parameters(), lr=lr, **options)
    losses = []

    for x in BATCHES:

        def closure(x=x):
            made.zero_grad()
            loss = loss_of(net, x)
            pull = sum((p - s).square().sum() for p, s in zip(net.parameters(), start, strict=True))
            (loss + mu / 2 * pull).backward()
            if clip is not None:
                nn.utils.clip_grad_norm_(net.parameters(), clip)
            return loss.detach()

        losses.append(float(made.step(closure)))
    return torch.cat([p.detach().flatten() for p in net.parameters()]), losses


@pytest.mark.parametrize(("name", "options"), CASES)
def test_steps_are_torchs(name, options):
    weights, losses = steps_of_ours(name, options)
    expected, expected_losses = steps_of_torch(name, options)
    torch.testing.assert_close(weights, expected, rtol=2e-5, atol=2e-6)
    assert losses == pytest.approx(expected_losses, rel=1e-5)
    assert not torch.equal(expected, FlatModule(module(), CPU).weights)


@pytest.mark.parametrize("name", ["SGD", "Adam", "Adafactor"])
@pytest.mark.parametrize(("mu", "clip"), [(0.5, None), (0.0, 0.1), (2.0, 0.3), (0.0, 1e6)])
def test_proximal_term_and_clipping_are_torchs(name, mu, clip):
    weights, losses = steps_of_ours(name, {}, mu, clip)
    expected, expected_losses = steps_of_torch(name, {}, mu, clip)
    torch.testing.assert_close(weights, expected, rtol=2e-5, atol=2e-6)
    assert losses == pytest.approx(expected_losses, rel=1e-5)
    plain = steps_of_ours(name, {})[0]
    assert torch.allclose(weights, plain) == ((mu, clip) == (0.0, 1e6))


def test_every_optimizer_has_a_case_or_a_reason():
    assert set(OPTIMIZERS) == {name for name, _ in CASES} | {"Muon", "SparseAdam"}


def test_muon_takes_matrices_and_adamw_the_rest():
    weights, _ = steps_of_ours("Muon", {"weight_decay": 0.1})
    net = module()
    parts = [
        torch.optim.Muon([p for p in net.parameters() if p.ndim == 2], lr=0.05, weight_decay=0.1),
        torch.optim.AdamW([p for p in net.parameters() if p.ndim == 1], lr=0.05, weight_decay=0.1),
    ]
    for x in BATCHES:
        for part in parts:
            part.zero_grad()
        loss_of(net, x).backward()
        for part in parts:
            part.step()
    expected = torch.cat([p.detach().flatten() for p in net.parameters()])
    torch.testing.assert_close(weights, expected, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("bias", [True, False])
def test_muon_of_matrices_alone_or_none(bias):
    """A model without vectors, and one without matrices, are trained too."""
    only = nn.Linear(5, 3, bias=False) if not bias else nn.Conv1d(1, 2, 3)
    network = FlatModule(only, CPU)
    before = network.weights.clone()
    slope = FlatGradient(network, 0.0, None)
    descend = optimizer("muon").start(network, slope, 0.05)
    descend(lambda: (torch.zeros(()), [torch.ones_like(p) for p in network.parameters]))
    assert not torch.equal(before, network.weights)


def test_plain_sgd_takes_the_shortest_way():
    network = FlatModule(module(), CPU)
    plain, clipped = FlatGradient(network, 0.0, None), FlatGradient(network, 0.0, 1.0)
    assert isinstance(optimizer("sgd").start(network, plain, 0.1), PlainSgd)
    assert isinstance(optimizer("sgd", momentum=0.0).start(network, plain, 0.1), PlainSgd)
    assert isinstance(optimizer("sgd").start(network, clipped, 0.1), Sgd)
    assert isinstance(optimizer("sgd", momentum=0.9).start(network, plain, 0.1), Sgd)


def test_own_defaults_are_kept_unless_set():
    """AdamW decays by 0.01 by itself, and not where the trainer says 0."""
    default, none = steps_of_ours("AdamW", {})[0], steps_of_ours("AdamW", {"weight_decay": 0.0})[0]
    expected = steps_of_torch("AdamW", {"weight_decay": 0.01})[0]
    torch.testing.assert_close(default, expected, rtol=1e-6, atol=1e-7)
    assert not torch.equal(default, none)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("adma", {}, "trainer.optimizer=adma does not exist"),
        ("SparseAdam", {}, "SparseAdam needs sparse gradients"),
        ("sgd", {"beta": 1}, "trainer.optimizer_options.beta is not an option of SGD"),
        ("adam", {"fused": True}, "trainer.optimizer_options.fused is not an option of Adam"),
        ("adam", {"betas": [2, 3]}, "trainer.optimizer=Adam cannot be made with .*beta"),
        ("adam", {"betas": "x"}, "trainer.optimizer=Adam cannot be made with"),
        ("sgd", {"nesterov": True}, "Nesterov momentum requires a momentum"),
        ("adam", {"momentum": 0.9}, "trainer.momentum=0.9 is not possible: Adam has no momentum"),
        ("lbfgs", {"weight_decay": 0.1}, "LBFGS has no weight_decay"),
        ("sgd", {"momentum": -1.0}, "trainer.momentum=-1.0 is not possible"),
        ("sgd", {"weight_decay": float("inf")}, "trainer.weight_decay=inf is not possible"),
    ],
)
def test_what_cannot_be_is_refused_at_once(name, options, message):
    with pytest.raises(ConfigError, match=message):
        optimizer(name, **options)


def test_messages_say_what_to_type():
    with pytest.raises(ConfigError) as caught:
        optimizer("adma")
    assert "next: trainer.optimizer=Adam" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        optimizer("adam", momentum=0.9)
    assert "optimizers that have it: Muon, RMSprop, SGD" in str(caught.value)
    assert "next: trainer.momentum=null" in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        optimizer("sgd", lr=0.1, beta=1)
    assert "exists: dampening, nesterov, maximize" in str(caught.value)
    assert "next: lr, momentum and weight_decay are the trainer's own" in str(caught.value)


def test_zero_momentum_is_no_momentum():
    optimizer("adam", momentum=0.0)


def test_sgd_does_without_torchs_compiler():
    """Its import takes longer than torch's own, and any torch.optim object causes it."""
    program = (
        "import sys, dataclasses as d; "
        "from aeros_torch import config; from aeros_torch.modules import models;"
        "from aeros_torch.trainer import TorchTrainer; made = config.TorchTrainer();"
        "options = {f.name: getattr(made, f.name) for f in d.fields(made)};"
        "del options['_target_'], options['defaults'], options['model'];"
        "TorchTrainer(model=models.Softmax, **{**options, 'momentum': 0.9});"
        "print('torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.strip() == b"False"

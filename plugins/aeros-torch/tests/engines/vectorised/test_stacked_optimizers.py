"""Rules over stacked weights against torch's optimizers, one client after the other."""

import pytest
import torch
from torch import nn

from aeros_torch.engines.vectorised.optimizers import rule
from aeros_torch.training.optimizers import Optimizer

CASES = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"weight_decay": 0.1}),
    ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.8, "dampening": 0.3}),
    ("Adam", {}),
    ("Adam", {"weight_decay": 0.2, "betas": (0.7, 0.9), "eps": 1e-4}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.2}),
]
LR = 0.05


def made(name, options):
    own = {n: v for n, v in options.items() if n not in ("momentum", "weight_decay")}
    firm = (options.get("momentum"), options.get("weight_decay"))
    return rule(Optimizer(name, LR, *firm, own))


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_does_what_torch_does_until_each_client_is_done(name, options):
    generator = torch.Generator().manual_seed(3)
    weights = torch.randn(3, 7, generator=generator)
    gradients = torch.randn(5, 3, 7, generator=generator)
    lengths, expected = [5, 4, 1], []
    for client, length in enumerate(lengths):
        weight = nn.Parameter(weights[client].clone())
        optimizer = getattr(torch.optim, name)([weight], lr=LR, **options)
        for gradient in gradients[:length, client]:
            weight.grad = gradient.clone()
            optimizer.step()
        expected.append(weight.detach())
    ours = made(name, options)
    for _ in range(2):  # it keeps nothing
        found = weights.clone()
        state = ours.state(found)
        for step in range(5):
            clients = sum(length > step for length in lengths)
            slope = gradients[step, :clients].clone()
            ours.step(found[:clients], slope, state, LR, step == 0)
        torch.testing.assert_close(found, torch.stack(expected), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "options"), [("SGD", {"maximize": True}), ("Adam", {"amsgrad": True}), ("Adagrad", {})]
)
def test_what_there_is_no_rule_for_is_said(name, options):
    assert made(name, options) == f"the optimizer is {name} with options of its own"

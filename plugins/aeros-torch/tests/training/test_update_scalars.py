"""The reach against torch.optim.SGD, told one gradient at a time."""

import pytest
import torch
from torch import nn

from aeros_torch.training.optimizers import Optimizer
from aeros_torch.training.update_scalars import update_scalars

LR = 0.1


def weights_of_gradients(steps, mu, **options):
    """Return how far each step's gradient alone leads, in units of the rate."""
    found = []
    for one in range(steps):
        weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))
        optimizer = torch.optim.SGD([weight], lr=LR, **options)
        for step in range(steps):
            weight.grad = float(step == one) + mu * weight.detach()
            optimizer.step()
        found.append(-weight.item() / LR)
    return found


@pytest.mark.parametrize("mu", [0.0, 0.8])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"momentum": 0.9},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.7, "dampening": 0.4},
        {"dampening": 0.4},
    ],
    ids=str,
)
def test_reach_is_the_sum_of_what_each_gradient_weighs(options, mu):
    momentum = options.get("momentum")
    own = {name: value for name, value in options.items() if name != "momentum"}
    optimizer = Optimizer("sgd", LR, momentum, 0.1, own)
    for steps in (1, 2, 7):
        told = update_scalars(optimizer, steps, LR, mu, 30)
        expected = sum(abs(weight) for weight in weights_of_gradients(steps, mu, **options))
        reach = pytest.approx(expected)
        assert told == {"steps": steps, "lr": LR, "reach": reach, "trained": 30}


def test_reach_with_momentum_is_the_papers():
    """FedNova, Wang et al. 2020, section 3.3, the case of local momentum."""
    rho, tau = 0.9, 12
    told = update_scalars(Optimizer("sgd", LR, rho, None, {}), tau, LR, 0.0, 30)
    assert told["reach"] == pytest.approx((tau - rho * (1 - rho**tau) / (1 - rho)) / (1 - rho))


def test_adaptive_optimizers_reach_their_steps():
    assert update_scalars(Optimizer("adam", LR, None, None, {}), 9, LR, 0.5, 30)["reach"] == 9


def test_equal_trainings_share_one_mapping():
    optimizer = Optimizer("sgd", LR, None, None, {})
    assert update_scalars(optimizer, 4, LR, 0.0, 30) is update_scalars(optimizer, 4, LR, 0.0, 30)

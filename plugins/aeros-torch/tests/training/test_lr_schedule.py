"""Rates against torch's own schedulers, stepped by hand."""

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from aeros_core.errors import ConfigError
from aeros_torch.training.lr_schedule import SCHEDULERS, Schedule

OPTIONS = {
    "StepLR": {"step_size": 3, "gamma": 0.5},
    "MultiStepLR": {"milestones": [2, 5], "gamma": 0.1},
    "ConstantLR": {"factor": 0.2, "total_iters": 4},
    "LinearLR": {"start_factor": 0.1, "total_iters": 6},
    "ExponentialLR": {"gamma": 0.9},
    "CosineAnnealingLR": {"T_max": 10, "eta_min": 0.001},
    "CosineAnnealingWarmRestarts": {"T_0": 3, "T_mult": 2},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4},
    "OneCycleLR": {"max_lr": 0.2, "total_steps": 12},
    "PolynomialLR": {"total_iters": 8, "power": 2.0},
}
REFUSED = set(SCHEDULERS) - set(OPTIONS)


def by_hand(name, options, lr, rounds):
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr, momentum=0.5)
    scheduler = getattr(lr_scheduler, name)(optimizer, **options)
    rates = []
    for _ in range(rounds):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def schedule(name=None, options=None, lr=0.1, warmup=0):
    return Schedule(name=name, options=options or {}, lr=lr, warmup=warmup)


@pytest.mark.parametrize("name", OPTIONS)
def test_rates_are_torchs(name):
    expected = by_hand(name, OPTIONS[name], 0.1, 11)
    made = schedule(name, OPTIONS[name])
    assert [made(number) for number in range(1, 12)] == pytest.approx(expected, rel=1e-12)
    assert len(set(expected)) > 1


def test_a_round_has_its_rate_whatever_came_before():
    name = "CosineAnnealingLR"
    in_order = schedule(name, OPTIONS[name])
    expected = [in_order(number) for number in range(1, 10)]
    assert schedule(name, OPTIONS[name])(7) == expected[6]
    assert [in_order(number) for number in (9, 2, 5)] == [expected[8], expected[1], expected[4]]


@pytest.mark.parametrize("name", ["cosineannealing", "Cosine_Annealing_LR", "COSINEANNEALINGLR"])
def test_names_are_forgiving(name):
    assert schedule(name, {"T_max": 4})(3) == schedule("CosineAnnealingLR", {"T_max": 4})(3)


def test_rate_stays_without_a_scheduler():
    made = schedule(lr=0.3)
    assert {made(number) for number in (1, 2, 500)} == {0.3}


def test_warmup_grows_to_the_schedulers_first_rate():
    made = schedule("StepLR", {"step_size": 1, "gamma": 0.5}, lr=0.8, warmup=3)
    assert [made(n) for n in range(1, 7)] == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.4, 0.2])


def test_each_scheduler_is_used_or_refused_with_a_reason():
    assert set(SCHEDULERS) >= set(OPTIONS)
    reasons = {
        "ReduceLROnPlateau": "follows a metric",
        "LambdaLR": "made of a function",
        "MultiplicativeLR": "made of a function",
        "SequentialLR": "made of other schedulers",
        "ChainedScheduler": "made of other schedulers",
    }
    assert set(reasons) == REFUSED
    for name, reason in reasons.items():
        with pytest.raises(ConfigError, match=reason) as caught:
            schedule(name)
        assert f"trainer.scheduler={name} cannot be used" in str(caught.value)
        assert "CosineAnnealingLR" in str(caught.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lr": -0.1}, "trainer.lr must be 0 or more, got -0.1"),
        ({"lr": float("nan")}, "trainer.lr must be 0 or more, got nan"),
        ({"warmup": -1}, "trainer.warmup must be 0 or more, got -1"),
        ({"name": "Steps"}, "trainer.scheduler=Steps does not exist"),
        (
            {"name": "StepLR"},
            "scheduler=StepLR cannot be made with no options: .*step_size",
        ),
        ({"options": {"gamma": 0.1}}, "scheduler_options are set, but no scheduler is"),
        (
            {"name": "StepLR", "options": {"step": 3}},
            "trainer.scheduler_options.step is not an option of StepLR",
        ),
        (
            {"name": "ExponentialLR", "options": {"gamma": "x"}},
            "the rate of round 2 with trainer.scheduler=ExponentialLR",
        ),
        (
            {"name": "OneCycleLR", "options": {"max_lr": 1.0, "total_steps": 0}},
            "cannot be made with max_lr=1.0, total_steps=0.*: ",
        ),
        (
            {"name": "CyclicLR", "options": {**OPTIONS["CyclicLR"], "cycle_momentum": True}},
            "cycle_momentum=true cannot be done",
        ),
    ],
)
def test_what_cannot_be_is_refused_at_once(arguments, message):
    with pytest.raises(ConfigError, match=message):
        schedule(**arguments)


def test_a_scheduler_that_ends_says_so():
    made = schedule("OneCycleLR", {"max_lr": 0.2, "total_steps": 3})
    made(3)
    with pytest.raises(ConfigError, match=r"the rate of round 5 .* 3"):
        made(5)

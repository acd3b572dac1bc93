"""EMA and SWA around a rule: the contract, and the papers' recurrences as the oracle."""

from __future__ import annotations

import numpy as np
import pytest

from aeros_aggregators.rules.asynchronous import FedBuff
from aeros_aggregators.rules.fedavg import FedAvg, FedAvgM, FedProx
from aeros_aggregators.rules.krum import Krum
from aeros_aggregators.rules.wrappers.parameter_averaging import Ema, Swa
from aeros_core.errors import ConfigError, DataError, TaskError
from aeros_core.roles.collector import Collector, SupportsAveraging, SupportsBuffer
from aeros_core.testing import CollectorTests


def fedavg():
    return FedAvg(personal=())


def fedavgm():
    return FedAvgM(server_lr=0.7, momentum=0.9, personal=())


class TestEma(CollectorTests):
    linear = True

    def make(self) -> Collector:
        return Ema(rule=fedavg, decay=0.9)


class TestSwaAroundAState(CollectorTests):
    linear = True
    fixed_point = False

    def make(self) -> Collector:
        return Swa(rule=fedavgm, start=1, every=2)


def run(collector, start, rounds):
    here, passed = start, []
    for updates in rounds:
        here = collector.aggregate(here, iter(updates))
        passed.append(here.vector.astype(np.float64))
    return here, passed


def test_ema_is_the_recurrence_from_the_first_round_on(draw):
    start, rounds = draw(rounds=5)
    collector = Ema(rule=fedavgm, decay=0.8)
    here, passed = run(collector, start, rounds)
    expected = passed[0]
    for vector in passed[1:]:
        expected = 0.8 * expected + 0.2 * vector
    averaged = collector.averaged(here)
    np.testing.assert_allclose(averaged.vector, expected, rtol=1e-6, atol=1e-6)
    assert averaged.layout == start.layout
    assert averaged.vector.dtype == np.float32


def test_swa_is_the_mean_of_the_rounds_that_count(draw):
    start, rounds = draw(rounds=8)
    collector = Swa(rule=fedavg, start=3, every=2)
    here, passed = run(collector, start, rounds)
    expected = np.mean([passed[2], passed[4], passed[6]], axis=0)
    np.testing.assert_allclose(collector.averaged(here).vector, expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    "make", [lambda: Ema(rule=fedavg, decay=0.5), lambda: Swa(rule=fedavg, start=1, every=1)]
)
def test_the_rule_goes_on_as_it_would_alone(draw, make):
    start, rounds = draw()
    collector = make()
    assert isinstance(collector, SupportsAveraging)
    assert collector.averaged(start) is start
    here, _ = run(collector, start, rounds)
    alone, _ = run(fedavg(), start, rounds)
    assert here.digest == alone.digest
    assert collector.averaged(here).digest != here.digest
    before = collector.averaged(here).digest
    assert collector.aggregate(here, iter(())) is here  # a round without updates is none
    assert collector.averaged(here).digest == before


def test_an_average_goes_on_after_a_resume(draw):
    start, rounds = draw(rounds=6)
    collector, other = (Swa(rule=fedavgm, start=2, every=2) for _ in range(2))
    here, _ = run(collector, start, rounds[:3])
    other.restore(collector.state())
    there, _ = run(other, here, rounds[3:])
    here, _ = run(collector, here, rounds[3:])
    assert collector.averaged(here).digest == other.averaged(there).digest


def test_what_the_rule_tells_passes_through():
    collector = Ema(rule=lambda: FedProx(mu=0.3, personal=["head"]), decay=0.5)
    told = collector.broadcast(1)
    assert (told.scalars, told.personal) == ({"proximal_mu": 0.3}, ("head",))
    assert collector.broadcast_to(1, "a").vectors == {}
    assert not isinstance(collector, SupportsBuffer)
    late = Ema(rule=lambda: FedBuff(buffer=4, max_staleness=2, server_lr=1, personal=()), decay=0)
    assert isinstance(late, SupportsBuffer)
    assert (late.buffer, late.max_staleness) == (4, 2)


def test_an_average_of_another_model_is_refused(draw):
    start, rounds = draw(size=99)
    small, _ = draw(size=30)
    collector = Ema(rule=fedavg, decay=0.5)
    collector.aggregate(start, rounds[0])
    with pytest.raises(DataError) as caught:
        collector.averaged(small)
    assert caught.value.asked == "the collector's state is an average of another model"


@pytest.mark.parametrize(
    ("make", "asked", "allowed"),
    [
        (lambda: Ema(rule=fedavg, decay=1.0), "decay=1.0", "0 to below 1"),
        (lambda: Swa(rule=fedavg, start=0, every=1), "start=0", "1 or more"),
        (lambda: Swa(rule=fedavg, start=1, every=0), "every=0", "1 or more"),
    ],
)
def test_bad_options_are_refused(make, asked, allowed):
    with pytest.raises(ConfigError) as caught:
        make()
    told = f"collector.{asked}".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told
    assert caught.value.exists == allowed


@pytest.mark.parametrize(
    ("make", "option"),
    [
        (lambda: Ema(rule=lambda: FedProx(mu=-1.0, personal=()), decay=0.5), "rule.mu=-1.0"),
        (lambda: Swa(rule=lambda: Ema(rule=fedavg, decay=2.0), start=1, every=1), "rule.decay=2.0"),
        (
            lambda: Ema(rule=lambda: Ema(rule=lambda: FedProx(mu=-1.0, personal=()), decay=0.5),
                        decay=0.5),
            "rule.rule.mu=-1.0",
        ),
    ],
)  # fmt: skip
def test_a_bad_option_of_the_rule_is_named_as_it_is_typed(make, option):
    with pytest.raises(ConfigError) as caught:
        make()
    told = f"collector.{option}".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told
    assert caught.value.hint.startswith(f"collector.{option.partition('=')[0]}=<")


def test_what_goes_wrong_in_the_rule_names_its_options(draw):
    start, rounds = draw(clients=3)
    collector = Ema(rule=lambda: Krum(byzantine=9, personal=()), decay=0.5)
    with pytest.raises(TaskError, match=r"^collector\.rule\.byzantine=9 needs 21") as caught:
        collector.aggregate(start, rounds[0])
    assert "or less collector.rule.byzantine" in caught.value.hint

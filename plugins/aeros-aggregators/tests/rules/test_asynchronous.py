"""FedBuff and FedAsync: the contract, and ten lines of each paper as the oracle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from aeros_aggregators.config import Staleness
from aeros_aggregators.rules.asynchronous import FedAsync, FedBuff
from aeros_aggregators.rules.wrappers.parameter_averaging import Ema
from aeros_core.errors import ConfigError
from aeros_core.federated.asynchronous import AsynchronousRounds
from aeros_core.messages import Update
from aeros_core.parameters import Parameters
from aeros_core.roles.collector import Collector, SupportsBuffer
from aeros_core.tasks.round_counters import RoundCounters
from aeros_core.tasks.task import Task
from aeros_core.testing import CollectorTests

ASYNC = {"alpha": 0.6, "staleness": "constant", "a": 0.5, "b": 4.0, "mu": 0.0, "personal": ()}


class TestFedBuff(CollectorTests):
    linear = True

    def make(self) -> Collector:
        return FedBuff(buffer=3, max_staleness=9, server_lr=1.0, personal=())


class TestFedAsync(CollectorTests):
    linear = True
    fixed_point = False  # it goes a part of the way

    def make(self) -> Collector:
        return FedAsync(**ASYNC)


def aged(update, age, delta_to=None):
    """Return an update of this staleness, as a difference to what it started from."""
    sent = update.parameters
    if delta_to is not None:
        sent = Parameters(sent.layout, {"float32": sent.vector - delta_to})
    return replace(
        update, parameters=sent, scalars={"staleness": float(age)}, delta=delta_to is not None
    )


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("rate", [1.0, 0.3])
def test_fedbuff_agrees_with_the_paper(draw, rate):
    start, rounds = draw(clients=5)
    collector = FedBuff(buffer=5, max_staleness=9, server_lr=rate, personal=())
    rng = np.random.default_rng(2)
    history, here = [start.vector], start
    x = start.vector.astype(np.float64)
    for updates in rounds:
        ages = rng.integers(0, len(history), len(updates))
        began = [history[-1 - age] for age in ages]
        # Nguyen et al. (2022), algorithm 1, with s(t) = 1 / sqrt(1 + t)
        changes = [u.parameters.vector - w for u, w in zip(updates, began, strict=True)]
        total = sum(d / np.sqrt(1 + age) for d, age in zip(changes, ages, strict=True))
        x = x + rate * total / collector.buffer
        sent = [aged(u, age, w) for u, age, w in zip(updates, ages, began, strict=True)]
        here = collector.aggregate(here, iter(sent))
        history.append(here.vector)
        np.testing.assert_allclose(here.vector, x, rtol=2e-6, atol=2e-6)


def weight(name, age, a, b):
    """Xie et al. (2019), section 5.2."""
    if name == "constant":
        return 1.0
    if name == "polynomial":
        return (age + 1) ** -a
    return 1.0 if age <= b else 1 / (a * (age - b) + 1)


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("name", [kind.name for kind in Staleness])
@pytest.mark.parametrize("age", [0, 3, 4, 11])
def test_fedasync_agrees_with_the_paper(draw, name, age):
    start, [[update]] = draw(clients=1, rounds=1)
    part = 0.7 * weight(name, age, 0.5, 3.0)
    expected = (1 - part) * start.vector.astype(np.float64) + part * update.parameters.vector
    collector = FedAsync(**{**ASYNC, "alpha": 0.7, "staleness": name, "b": 3.0})
    result = collector.aggregate(start, [aged(update, age)])
    np.testing.assert_allclose(result.vector, expected, rtol=1e-6, atol=1e-6)


class Slow:
    """Nodes that finish in an order of their own, long after others have moved on."""

    def __init__(self, rng):
        self.rng, self.told, self.sent = rng, [], {}

    def __len__(self):
        return 40

    def name(self, number):
        return f"client-{number}"

    def dispatch(self, instructions):
        self.told += instructions

    def receive(self, timeout):
        told = self.told.pop(int(self.rng.integers(len(self.told))))
        assert not told.delta
        made = told.parameters.vector + self.rng.normal(size=told.parameters.vector.size)
        self.sent = {told.node: (told.round, made.astype("float32"))}
        parameters = Parameters(told.parameters.layout, {"float32": self.sent[told.node][1]})
        return Update(told.node, told.round, parameters, 1)

    def abandon(self):
        raise AssertionError


def test_fedasync_in_the_round_loop_is_algorithm_1_of_the_paper(draw):
    """Xie et al. (2019): x_t = (1 - alpha_t) x_(t-1) + alpha_t x_new, from whole parameters."""
    here, _ = draw(clients=1)
    nodes = Slow(np.random.default_rng(3))
    collector = FedAsync(**{**ASYNC, "staleness": "polynomial", "a": 0.7})
    busy = AsynchronousRounds(nodes, Task(cohort=8), collector, collector.buffer, lambda: None)
    x, ages = here.vector.astype(np.float64), set()
    for t in range(1, 40):
        here = collector.aggregate(here, busy.step(t, here, RoundCounters()))
        [(tau, new)] = nodes.sent.values()
        alpha = 0.6 * (t - tau + 1) ** -0.7
        x = (1 - alpha) * x + alpha * new
        ages.add(t - tau)
        np.testing.assert_allclose(here.vector, x, rtol=1e-5, atol=1e-5)
    assert len(ages) > 4


def test_fedasync_announces_its_proximal_term():
    assert FedAsync(**ASYNC).broadcast(1).scalars == {}
    assert FedAsync(**{**ASYNC, "mu": 0.2}).broadcast(1).scalars == {"proximal_mu": 0.2}


def test_they_say_how_many_updates_they_wait_for():
    fedbuff = FedBuff(buffer=7, max_staleness=9, server_lr=1.0, personal=())
    assert isinstance(fedbuff, SupportsBuffer)
    assert (fedbuff.buffer, fedbuff.max_staleness) == (7, 9)
    assert FedAsync(**ASYNC).buffer == 1
    assert FedAsync(**ASYNC).whole
    assert not hasattr(fedbuff, "whole")
    held = Ema(rule=lambda: FedAsync(**ASYNC), decay=0.5)
    assert (held.buffer, held.whole) == (1, True)


@pytest.mark.parametrize(
    ("made", "options", "name", "value", "allowed"),
    [
        (FedBuff, {}, "buffer", 0, "1 or more"),
        (FedBuff, {}, "max_staleness", -1, "0 or more"),
        (FedBuff, {}, "server_lr", 0.0, "above 0"),
        (FedAsync, ASYNC, "alpha", 1.1, "above 0, up to 1"),
        (FedAsync, ASYNC, "a", -1.0, "0 or more"),
        (FedAsync, ASYNC, "b", -1.0, "0 or more"),
        (FedAsync, ASYNC, "mu", -1.0, "0 or more"),
    ],
)
def test_bad_options_are_refused(made, options, name, value, allowed):
    whole = options or {"buffer": 2, "max_staleness": 3, "server_lr": 1.0, "personal": ()}
    with pytest.raises(ConfigError) as caught:
        made(**{**whole, name: value})
    told = f"collector.{name}={value}".replace("=", f" must be {caught.value.exists}, got ", 1)
    assert caught.value.asked == told
    assert caught.value.exists == allowed

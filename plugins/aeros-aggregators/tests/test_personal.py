"""Every rule announces what stays with the nodes; FedBN knows what that is."""

from __future__ import annotations

import dataclasses
from fnmatch import fnmatchcase

import numpy as np
import pytest

import aeros_aggregators
from aeros_aggregators import config
from aeros_aggregators.rules.fedavg import FedAvg, FedBN
from aeros_core.config import build
from aeros_core.errors import ConfigError, PluginError
from aeros_core.federated.updates.client_state import ClientState
from aeros_core.messages import Instruction, Update
from aeros_core.parameters import Parameters
from aeros_core.plugins import discovery
from aeros_core.roles.collector import Collector, SupportsBroadcast
from aeros_core.testing import CollectorTests

BATCH_NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


class TestFedBN(CollectorTests):
    linear = True

    def make(self) -> Collector:
        return FedBN(personal=config.FedBN().personal)


def test_patterns_are_announced():
    collector = FedAvg(personal=["head.*"])
    assert isinstance(collector, SupportsBroadcast)
    assert collector.broadcast(1).personal == ("head.*",)


@pytest.mark.parametrize(
    ("name", "stays"),
    [(f"{layer}.{part}", True) for layer in ("bn1", "batchnorm", "norm2") for part in BATCH_NORM]
    + [(f"features.3.{part}", True) for part in BATCH_NORM[2:]]
    + [("conv1.weight", False), ("fc.bias", False), ("lstm.weight_ih_l0", False)],
)
def test_fedbn_keeps_batch_normalisation_and_nothing_else(name, stays):
    assert any(fnmatchcase(name, pattern) for pattern in config.FedBN().personal) == stays


def toward(parameters, target):
    """A node's training: half of the way to a target of its own, all tensors."""
    for name, values in parameters.items():
        values[...] = values + 0.5 * (target[name] - values)
    return parameters


def test_fedbn_through_the_desk_is_algorithm_1_of_the_paper():
    """Li et al. (2021), algorithm 1: who shares what, layer by layer, in four rounds."""
    rng = np.random.default_rng(1)
    names = {"conv.weight": 3, "norm1.weight": 2, "fc.bias": 2}
    nodes, weight = ["a", "b", "c"], {"a": 1, "b": 2, "c": 5}
    start = {name: rng.standard_normal(size).astype("float32") for name, size in names.items()}
    target = {k: {n: rng.standard_normal(size) for n, size in names.items()} for k in nodes}
    own = {k: {n: v.astype("float64") for n, v in start.items()} for k in nodes}  # w^(k)
    desk, collector = ClientState(), FedBN(personal=config.FedBN().personal)
    here = Parameters.of(start)
    for number in range(1, 5):
        for k in nodes:
            own[k] = {n: w + 0.5 * (target[k][n] - w) for n, w in own[k].items()}
        for name in names:
            if not name.startswith("norm"):  # the paper's "if layer l is not BatchNorm"
                mean = sum(weight[k] * own[k][name] for k in nodes) / sum(weight.values())
                own |= {k: {**own[k], name: mean} for k in nodes}
        told = collector.broadcast(number).personal
        updates = []
        for k in nodes:
            asked = Instruction(number, k, here, personal=told)
            trained = toward(desk.prepare(asked).parameters.copy(), target[k])
            updates.append(desk.finish(asked, Update(k, number, trained, weight[k])))
        here = collector.aggregate(here, updates)
        for k in nodes:
            local = desk.prepare(Instruction(number, k, here, personal=told)).parameters
            for name in names:
                np.testing.assert_allclose(local[name], own[k][name], rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(here["norm1.weight"], start["norm1.weight"])


def test_an_empty_pattern_is_refused():
    with pytest.raises(ConfigError) as caught:
        FedAvg(personal=["head", ""])
    assert caught.value.asked == "collector.personal=['head', ''] has an empty pattern"


def built(name, *groups, **options):
    """Return what compose makes of a collector that holds rules."""
    node = {"_target_": aeros_aggregators.aeros_collectors()[name]._target_, **options}
    for group, rule, chosen in groups:
        option = aeros_aggregators.aeros_rules()[rule]()
        node[group] = dataclasses.asdict(option) | chosen
    return build.build_part(discovery.discover(), "collector", node)


def test_a_wrapper_gets_the_rule_that_was_chosen(draw):
    start, rounds = draw(rounds=1)
    chosen = {"bound": 3.0, "personal": ["head.*"]}
    collector = built("ema", ("rule", "norm_clip", chosen), decay=0.9)
    assert collector.broadcast(1).personal == ("head.*",)
    result = collector.aggregate(start, rounds[0])
    assert 0.0 < np.linalg.norm(result.vector - start.vector) < 3.001


def test_a_tree_gets_two_rules():
    rules = [("rule", "fedprox", {"mu": 0.2}), ("outer", "fedavgm", {})]
    collector = built("tree", *rules, groups=2)
    assert collector.broadcast(1).scalars == {"proximal_mu": 0.2}
    assert {name.partition(".")[0] for name in collector.state()} <= {"outer"}


def test_what_is_no_rule_cannot_be_held():
    node = {"_target_": config.Ema._target_, "rule": {"_target_": config.Swa._target_}}
    with pytest.raises(PluginError, match="is not registered for collector/rule"):
        build.build_part(discovery.discover(), "collector", node)

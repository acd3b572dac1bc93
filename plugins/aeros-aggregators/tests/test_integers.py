"""Integers and truth values: values in every update, exact through every rule and codec."""

from __future__ import annotations

import dataclasses
import importlib
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as st_numpy

import aeros_aggregators
from aeros_aggregators.config import codecs
from aeros_aggregators.rules.asynchronous import FedBuff
from aeros_aggregators.rules.fedavg import FedAvg
from aeros_aggregators.rules.wrappers.parameter_averaging import Ema, Swa
from aeros_aggregators.rules.wrappers.tree import Tree
from aeros_core.encoding import Encoded
from aeros_core.federated.updates.client_state import ClientState
from aeros_core.messages import Instruction, Update
from aeros_core.numerics.dtypes import is_real
from aeros_core.numerics.integer_means import IntegerMean
from aeros_core.parameters import Parameters

RULES = aeros_aggregators.aeros_rules()
WHOLE = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
CODECS = ("Float16", "BFloat16", "Int8", "TopK", "RandomK")
SOME = settings(max_examples=40, deadline=None, derandomize=True, database=None)
BY_EXAMPLES = (
    "fedavg", "fedprox", "fedbn", "fedavgm", "fedadagrad", "fedadam", "fedyogi", "fedexp",
    "scaffold", "feddyn", "fedasync", "fedbuff",
)  # fmt: skip
TOLD = {"steps": 4.0, "lr": 0.1, "reach": 4.0}


def built(config):
    values = dataclasses.asdict(config)
    values.pop("defaults", None)
    module, _, attribute = values.pop("_target_").rpartition(".")
    return getattr(importlib.import_module(module), attribute)(**values)


def rule(name):
    return built(RULES[name]())


def codec(name):
    return built(getattr(codecs, name)())


def mean_of(columns, weights, dtype):
    """Return the exact weighted mean, rounded half to even: an oracle in fractions."""
    weights = [Fraction(w) for w in weights]
    found = [
        round(sum(w * int(v) for w, v in zip(weights, values, strict=True)) / sum(weights))
        for values in zip(*columns, strict=True)
    ]
    return np.array(found, dtype)


def model(dtype, counts, weight):
    return Parameters.of({"w": np.float32([weight, -weight]), "n": np.array(counts, dtype)})


def sent(base, values, dtype, weight, way):
    """Return what a node sends that trained these values, by the core's own `ClientState`."""
    told = Instruction(1, "a", base, seed=3, delta=way == "delta")
    update = Update("a", 1, model(dtype, values, weight), 5, {"loss": 1.0}, TOLD)
    return ClientState(codec(way) if way in CODECS else None).finish(told, update)


def rounds(dtype, way):
    """Return the base, and updates of nodes whose values wrap as differences."""
    top = 1 if dtype == "bool" else np.iinfo(dtype).max
    base = model(dtype, [top, 0, 0, top], 1.0)
    values = [[0, top, 1, top], [0, top, 0, top], [1, top, 1, top]]
    updates = [
        dataclasses.replace(sent(base, v, dtype, 2.0 + i, way), node=f"n{i}", examples=e)
        for i, (v, e) in enumerate(zip(values, (1, 2, 4), strict=True))
    ]
    return base, updates, values


@pytest.mark.parametrize("way", ["full", "delta", *CODECS])
@pytest.mark.parametrize("dtype", WHOLE)
def test_a_node_sends_the_values_it_trained(dtype, way):
    _, updates, values = rounds(dtype, way)
    for update, trained in zip(updates, values, strict=True):
        assert update.delta is (way != "full")
        assert isinstance(update.parameters.vectors, Encoded) is (way in CODECS)
        assert update.parameters["n"].tolist() == model(dtype, trained, 0.0)["n"].tolist()
        assert update.parameters["n"].dtype == dtype


@pytest.mark.parametrize("way", ["full", "delta", *CODECS])
@pytest.mark.parametrize("dtype", WHOLE)
def test_the_mean_is_exact_and_never_wraps(dtype, way):
    base, updates, values = rounds(dtype, way)
    result = FedAvg(personal=()).aggregate(base, iter(updates))
    assert result["n"].dtype == dtype
    assert result["n"].tolist() == mean_of(values, (1, 2, 4), dtype).tolist()


def test_uint8_9_and_10_is_no_112():
    base = model("uint8", [9], 1.0)
    updates = [sent(base, [n], "uint8", 1.0, "delta") for n in (9, 10)]
    buffered = FedBuff(buffer=2, max_staleness=9, server_lr=1.0, personal=())
    assert buffered.aggregate(base, updates)["n"].tolist() == [10]  # 9.5, half to even
    for name in CODECS:
        coded = [sent(base, [n], "uint8", 1.0, name) for n in (9, 10)]
        assert FedAvg(personal=()).aggregate(base, coded)["n"].tolist() == [10]


@pytest.mark.parametrize("name", BY_EXAMPLES)
@pytest.mark.parametrize("dtype", WHOLE)
def test_no_rule_steps_or_mixes_integers(name, dtype):
    weights = (1, 1, 1) if name in ("fedasync", "fedbuff") else (1, 2, 4)
    for way in ("full", "delta"):
        base, updates, values = rounds(dtype, way)
        result = rule(name).aggregate(base, updates)
        assert result["n"].tolist() == mean_of(values, weights, dtype).tolist()


@pytest.mark.parametrize("name", ["median", "trimmed_mean", "krum", "multikrum", "bulyan"])
@pytest.mark.parametrize("dtype", WHOLE)
@pytest.mark.parametrize("delta", [False, True])
def test_robust_rules_do_not_wrap(name, dtype, delta):
    top = 1 if dtype == "bool" else np.iinfo(dtype).max
    base = model(dtype, [top, 0], 1.0)
    honest = [sent(base, [0, top], dtype, 2.0, "delta" if delta else "full") for _ in range(8)]
    liar = sent(base, [top, 0], dtype, 900.0, "delta" if delta else "full")
    result = rule(name).aggregate(base, [*honest, liar])
    assert result["n"].tolist() == model(dtype, [0, top], 0.0)["n"].tolist()


@pytest.mark.parametrize("dtype", WHOLE)
def test_the_median_is_that_of_numpy_rounded_half_to_even(dtype):
    rng = np.random.default_rng(1)
    most = 2 if dtype == "bool" else 100
    base = model(dtype, [0] * 30, 1.0)
    values = rng.integers(0, most, (6, 30))
    result = rule("median").aggregate(base, [sent(base, v, dtype, 1.0, "full") for v in values])
    assert result["n"].tolist() == np.rint(np.median(values, axis=0)).astype(dtype).tolist()


@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1, -(2**63), -(2**53) - 1])
def test_counters_beyond_2_to_the_53_are_exact_where_they_agree(value):
    base = model("int64", [0], 1.0)
    updates = [sent(base, [value], "int64", float(i), "delta") for i in range(9)]
    makers = {name: RULES[name] for name in RULES.keys() - {"qfedavg"}}
    for name, config in makers.items():
        assert built(config()).aggregate(base, updates)["n"].tolist() == [value], name


@pytest.mark.parametrize("make", [
    lambda: Ema(rule=lambda: FedAvg(personal=()), decay=0.9),
    lambda: Swa(rule=lambda: FedAvg(personal=()), start=1, every=1),
])  # fmt: skip
@pytest.mark.parametrize("dtype", WHOLE)
def test_averages_over_rounds_keep_the_integers_of_the_last_round(make, dtype):
    top = 1 if dtype == "bool" else np.iinfo(dtype).max
    base = model(dtype, [0], 1.0)
    averaging = make()
    for value in (0, top):
        last = averaging.aggregate(base, [sent(base, [value], dtype, 2.0, "full")])
    again = make()
    again.restore(averaging.state())
    for held in (averaging, again):
        shown = held.averaged(last)
        assert shown["n"].tolist() == last["n"].tolist() == model(dtype, [top], 0.0)["n"].tolist()
        assert shown["n"].dtype == dtype


@pytest.mark.parametrize("dtype", WHOLE)
def test_groups_forward_values(dtype):
    base, updates, _ = rounds(dtype, "delta")
    tree = Tree(rule=lambda: FedAvg(personal=()), outer=lambda: FedAvg(personal=()), groups=2)
    flat = FedAvg(personal=()).aggregate(base, updates)
    for column in (1, 3):  # where all agree
        assert tree.aggregate(base, updates)["n"][column] == flat["n"][column]


@SOME
@given(data=st.data(), dtype=st.sampled_from(WHOLE), count=st.integers(1, 6))
def test_means_equal_those_of_fractions(data, dtype, count):
    near = None
    if dtype not in ("bool", "int8", "int16", "uint8", "uint16"):
        info = np.iinfo(dtype)
        low = data.draw(st.integers(info.min, info.max - 1000))
        near = st.integers(low, low + 1000)  # distances from the first stay exact
    columns = [data.draw(st_numpy.arrays(dtype, 4, elements=near)) for _ in range(count)]
    weights = data.draw(st.lists(st.integers(1, 10**6), min_size=count, max_size=count))
    mean = IntegerMean()
    for column, weight in zip(columns, weights, strict=True):
        mean.add(column, float(weight))
    assert mean.mean(float(sum(weights))).tolist() == mean_of(columns, weights, dtype).tolist()


@SOME
@given(data=st.data(), dtype=st.sampled_from(("int64", "uint64")))
def test_far_apart_means_stay_between_the_least_and_the_greatest(data, dtype):
    columns = [data.draw(st_numpy.arrays(dtype, 4)) for _ in range(3)]
    mean = IntegerMean()
    for column in columns:
        mean.add(column, 1.0)
    found = mean.mean(3.0)
    exact = mean_of([c.astype(object) for c in columns], (1, 1, 1), object)
    assert all(abs(int(f) - int(e)) < 2**13 for f, e in zip(found, exact, strict=True))


def test_a_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no vector"):
        IntegerMean().mean(1.0)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("way", ["delta", *CODECS])
def test_real_numbers_still_travel_as_differences(dtype, way):
    assert is_real(dtype)
    base = Parameters.of({"w": np.full(8, 3.0, dtype)})
    told = Instruction(1, "a", base, seed=3, delta=True)
    update = Update("a", 1, Parameters.of({"w": np.full(8, 3.5, dtype)}), 5)
    desk = ClientState(codec(way) if way in CODECS else None)
    change = desk.finish(told, update).parameters["w"]
    expected = {"TopK": [0.5] + [0.0] * 7}.get(way, [0.5] * 8)
    if way != "RandomK":
        np.testing.assert_allclose(change, expected, atol=0.01)

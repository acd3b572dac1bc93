import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core import seeding
from aeros_core.federated import selection
from aeros_core.messages import Action, Broadcast
from aeros_core.tasks.task import Task


class Population:
    """Numbered nodes that count how many names were asked for."""

    def __init__(self, size):
        self.size = size
        self.named = 0

    def __len__(self):
        return self.size

    def name(self, number):
        assert type(number) is int
        self.named += 1
        return f"client-{number}"

    def sizes(self, numbers):
        return np.zeros(len(numbers), np.int64)


def numbers(names):
    return [int(name.removeprefix("client-")) for name in names]


@pytest.mark.parametrize("size", [None, 6])
def test_everybody_takes_part_where_no_fewer_are_asked_for(size):
    chosen = selection.select(Task(cohort=size), Population(6), 1)
    assert numbers(chosen) == [0, 1, 2, 3, 4, 5]


@given(st.integers(1, 200), st.integers(1, 20), st.integers(0, 2**31), st.integers(1, 50))
def test_a_cohort_is_drawn_without_replacement_in_order(population, size, seed, number):
    size = min(size, population)
    chosen = numbers(selection.select(Task(cohort=size, seed=seed), Population(population), number))
    assert chosen == sorted(set(chosen))
    assert len(chosen) == size
    assert set(chosen) <= set(range(population))


def test_the_same_seed_and_round_draw_the_same_cohort():
    task = Task(cohort=10, seed=3)
    draws = [selection.select(task, Population(1000), number) for number in (1, 1, 2)]
    assert draws[0] == draws[1] != draws[2]
    assert selection.select(Task(cohort=10, seed=4), Population(1000), 1) != draws[0]


def test_everybody_is_as_likely():
    task = Task(cohort=5)
    counts = np.zeros(20)
    for number in range(2000):
        counts[numbers(selection.select(task, Population(20), number))] += 1
    # 500 expected each, with a standard deviation of about 19
    assert np.abs(counts - 500).max() < 100


def test_drawing_from_ten_million_costs_what_the_cohort_costs():
    population = Population(10_000_000)
    task = Task(cohort=100)
    selection.select(task, population, 1)
    population.named = 0
    tracemalloc.start()
    try:
        chosen = selection.select(task, population, 2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(chosen) == population.named == 100
    assert peak < 100_000


class Announcing:
    def aggregate(self, parameters, updates):
        return parameters

    def broadcast(self, round):
        return Broadcast({"proximal_mu": round / 10}, {"control": np.ones(2, dtype="float32")})


def test_instructions_carry_what_the_collector_announces(flat):
    parameters = flat(1, 2)
    told = selection.instruct(Task(seed=9, deadline=2.5), Announcing(), parameters, 4, ["a", "b"])
    assert [instruction.node for instruction in told] == ["a", "b"]
    for instruction in told:
        assert instruction.round == 4
        assert instruction.parameters is parameters
        assert instruction.action is Action.TRAIN
        assert instruction.scalars == {"proximal_mu": 0.4}
        assert instruction.vectors["control"].tolist() == [1, 1]
        assert instruction.deadline == 2.5
        assert instruction.seed == seeding.seed(9, "train", 4, instruction.node)


def test_a_collector_that_announces_nothing_sends_parameters_alone(flat, toys):
    told = selection.instruct(Task(), toys.Mean(momentum=0.0), flat(1, 2), 1, ["a"])
    assert (told[0].scalars, told[0].vectors, told[0].nbytes) == ({}, {}, 8)


def test_evaluation_has_a_stream_of_its_own(flat):
    asked = selection.ask(Task(seed=9), flat(1, 2), 4, ["a", "b"])
    assert [i.action for i in asked] == [Action.EVALUATE] * 2
    assert [i.seed for i in asked] == [seeding.seed(9, "evaluate", 4, n) for n in "ab"]


FIGURES = st.floats(-1e6, 1e6)


@given(st.lists(st.tuples(st.integers(1, 1000), FIGURES), min_size=1, max_size=8))
def test_a_mean_is_weighted_by_examples(rows):
    weights, losses = zip(*rows, strict=True)
    mean = selection.mean({"examples": n, "loss": x} for n, x in rows)
    assert set(mean) == {"loss"}
    assert mean["loss"] == pytest.approx(np.average(losses, weights=weights), abs=1e-6)


def test_a_figure_that_some_do_not_report_is_the_mean_of_those_who_do():
    rows = [
        {"examples": 1, "loss": 4.0},
        {"examples": 3, "loss": 0.0, "accuracy": 0.5},
        {"examples": 1, "accuracy": 0.9},
    ]
    assert selection.mean(rows) == pytest.approx({"accuracy": 2.4 / 4, "loss": 1.0})
    assert selection.mean([]) == {}

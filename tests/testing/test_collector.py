"""The contract of a collector passes what is right, and catches what is not."""

from dataclasses import replace

import numpy as np
import pytest

from aeros_core.messages import Broadcast
from aeros_core.numerics.dtypes import is_real
from aeros_core.parameters import Parameters
from aeros_core.testing import CollectorTests


class Mean:
    """The weighted mean, one update at a time, with a momentum that is its state."""

    momentum = 0.0

    def __init__(self):
        self.velocity = {}

    def aggregate(self, parameters, updates):
        sums = {d: np.zeros(len(v)) for d, v in parameters.vectors.items()}
        weight = 0
        for update in updates:
            weight += update.examples
            for dtype, vector in update.parameters.vectors.items():
                change = update.delta and is_real(dtype)  # integers are values
                step = vector if change else vector - parameters.vectors[dtype]
                sums[dtype] += update.examples * step.astype(np.float64)
        return self.moved(parameters, sums, weight) if weight else parameters

    def moved(self, parameters, sums, weight):
        vectors = {}
        for dtype, vector in parameters.vectors.items():
            step = sums[dtype] / weight + self.momentum * self.velocity.get(dtype, 0.0)
            self.velocity[dtype] = step
            vectors[dtype] = (vector + step).astype(dtype)
        return Parameters(parameters.layout, vectors)


class Momentum(Mean):
    momentum = 0.5

    def state(self):
        return dict(self.velocity)

    def restore(self, state):
        self.velocity = dict(state)

    def broadcast(self, round):
        return Broadcast({"proximal_mu": 0.1})


def contract(collector, **says):
    own = {"make": lambda self: collector(), "linear": True}
    return type("Contract", (CollectorTests,), own | says)


@pytest.mark.parametrize("collector", [Mean, Momentum])
def test_a_good_collector_passes(failing, collector):
    assert failing(contract(collector)) == set()


class Forgets(Mean):
    """Returns nothing where there is no update."""

    def aggregate(self, parameters, updates):
        updates = list(updates)
        return super().aggregate(parameters, updates) if updates else Parameters.zeros(
            parameters.layout
        )  # fmt: skip


class Widens(Mean):
    """Returns float64 under the name of float32."""

    def moved(self, parameters, sums, weight):
        made = super().moved(parameters, sums, weight)
        return Parameters(made.layout, {d: v.astype("float64") for d, v in made.vectors.items()})


class Overwrites(Mean):
    """Adds to the parameters it was given."""

    def moved(self, parameters, sums, weight):
        for dtype, vector in parameters.vectors.items():
            vector[...] = vector + sums[dtype] / weight
        return parameters


class Reuses(Mean):
    """Returns the same buffer every round."""

    kept = None

    def moved(self, parameters, sums, weight):
        made = super().moved(parameters, sums, weight)
        if self.kept is None:
            self.kept = made.copy()
        for dtype, vector in made.vectors.items():
            self.kept.vectors[dtype][...] = vector
        return self.kept


class Twice(Mean):
    """Goes over the updates a second time."""

    def aggregate(self, parameters, updates):
        count = sum(1 for _ in updates)
        return super().aggregate(parameters, updates) if count else parameters


class Impatient(Mean):
    """Does not wait for the last update."""

    def aggregate(self, parameters, updates):
        return super().aggregate(parameters, (u for u, _ in zip(updates, range(3), strict=False)))


class Dithers(Mean):
    """Adds noise of its own."""

    def moved(self, parameters, sums, weight):
        noisy = {d: s + np.random.default_rng().normal(size=len(s)) for d, s in sums.items()}
        return super().moved(parameters, noisy, weight)


class Latest(Mean):
    """Lets later updates count more."""

    def aggregate(self, parameters, updates):
        for update in updates:
            parameters = super().aggregate(parameters, [update])
        return parameters


class Doubles(Mean):
    """Goes twice as far as it should."""

    def moved(self, parameters, sums, weight):
        return super().moved(parameters, {d: 2 * s for d, s in sums.items()}, weight)


class TakesAllForWhole(Mean):
    """Does not look whether an update is a difference."""

    def aggregate(self, parameters, updates):
        return super().aggregate(parameters, (replace(u, delta=False) for u in updates))


class Hoards(Mean):
    """Keeps every update until the end."""

    def aggregate(self, parameters, updates):
        return super().aggregate(parameters, list(updates))


class Loses(Momentum):
    """Leaves its velocity out of its state."""

    def state(self):
        return {}


class Lends(Momentum):
    """Gives its own arrays away as its state, and goes on writing into them."""

    def moved(self, parameters, sums, weight):
        old = dict(self.velocity)
        made = super().moved(parameters, sums, weight)
        for dtype, vector in old.items():
            vector[...] = self.velocity[dtype]
            self.velocity[dtype] = vector
        return made


class Stumbles(Momentum):
    """Cannot restore the state of before the first round."""

    def restore(self, state):
        self.velocity = {d: state[d] for d in ("float32",)}


class Shouts(Momentum):
    """Announces what is no number."""

    def broadcast(self, round):
        return Broadcast({"proximal_mu": float("nan")})


class Nothing:
    """Is no collector."""


@pytest.mark.parametrize(
    ("collector", "test"),
    [
        (Nothing, "is_a_collector"),
        (Forgets, "no_update_changes_nothing"),
        (Widens, "keeps_the_layout"),
        (Overwrites, "never_changes_what_it_is_given"),
        (Reuses, "result_is_not_changed_by_later_rounds"),
        (Twice, "takes_updates_once"),
        (Impatient, "takes_updates_once"),
        (Dithers, "same_updates_give_the_same_bits"),
        (Latest, "order_of_arrival_matters_not"),
        (Doubles, "identical_updates_are_a_fixed_point"),
        (TakesAllForWhole, "differences_do_as_well_as_parameters"),
        (Hoards, "holds_few_updates_of_many"),
        (Loses, "state_goes_on_exactly"),
        (Lends, "state_is_a_snapshot"),
        (Stumbles, "state_of_a_new_collector_restores"),
        (Shouts, "broadcast_is_numbers_by_name"),
    ],
)
def test_what_is_wrong_is_caught(failing, collector, test):
    only = {name for name in dir(CollectorTests) if name.startswith("test_")} - {f"test_{test}"}
    kit = contract(collector, **{name: lambda self: None for name in only})
    assert failing(kit) == {f"test_{test}"}

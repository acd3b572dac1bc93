"""Averages of the parameters over rounds, around any rule.

The rule goes on from its own parameters; the average is what is evaluated and published.
Averages are float64; integers are those of the last round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from aeros_aggregators.arrays.host import host, is_real, stored, working
from aeros_aggregators.options import check_option
from aeros_aggregators.rules.wrappers.wrapper import WrappedRule, under
from aeros_core.arrays import Array
from aeros_core.errors import DataError
from aeros_core.messages import State, Update
from aeros_core.parameters import Parameters
from aeros_core.roles.collector import Collector

__all__ = ["Ema", "Swa"]


class Average:
    """A moving point between the parameters of several rounds, as a state to store."""

    def __init__(self) -> None:
        self.count = 0
        self._vectors: dict[str, Array] = {}

    def move(self, parameters: Parameters, part: float) -> None:
        """Go a part of the way to these parameters, the first time all of it."""
        for dtype, vector in parameters.vectors.items():
            if not is_real(dtype):
                self._vectors[dtype] = host(vector, dtype).copy()
                continue
            there = host(vector, working(dtype))
            if self.count == 0:
                self._vectors[dtype] = there.astype(np.float64)
            else:
                here = self._vectors[dtype]
                here += part * (there - here)
        self.count += 1

    def read(self, parameters: Parameters) -> Parameters:
        """Return the average; ``parameters`` as they are before there is any.

        Raises:
            DataError: The state restored belongs to another model.
        """
        if not self.count:
            return parameters
        if {d: v.size for d, v in self._vectors.items()} != dict(parameters.layout.sizes):
            raise DataError(
                "the collector's state is an average of another model",
                hint="resume with the configuration that wrote the state, or start anew",
            )
        vectors = {d: stored(v, d) for d, v in self._vectors.items()}
        return Parameters(parameters.layout, {d: np.array(v) for d, v in vectors.items()})

    def state(self) -> State:
        """Return ``average.<dtype>`` and how many rounds are in it."""
        vectors = {f"average.{d}": v.copy() for d, v in self._vectors.items()}
        return {"averaged": self.count, **vectors}

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self.count = int(state["averaged"])
        self._vectors = {
            dtype: np.array(value, np.float64 if is_real(dtype) else dtype)
            for dtype, value in under("average.", state).items()
        }


class Ema(WrappedRule):
    """Exponential moving average of the global parameters, around any rule.

    Tarvainen and Valpola, Mean Teachers Are Better Role Models (2017), section 2;
    arXiv:1703.01780: average = decay average + (1 - decay) parameters, from the first
    round's parameters on.

    Args:
        rule: Makes the rule.
        decay: Part of the average that is kept in a round.

    Raises:
        ConfigError: ``decay`` is not within 0 to below 1.
    """

    def __init__(self, *, rule: Callable[[], Collector], decay: float) -> None:
        super().__init__(rule=rule)
        check_option("decay", decay, 0 <= decay < 1, "0 to below 1")
        self._part = 1.0 - decay
        self._average = Average()

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return what the rule makes of the updates, and take it into the average."""
        result = self.combined(parameters, updates)
        if result is not parameters:
            self._average.move(result, self._part)
        return result

    def averaged(self, parameters: Parameters) -> Parameters:
        """Return the average; before the first round, ``parameters``."""
        return self._average.read(parameters)

    def state(self) -> State:
        """Return the average, and the rule's state under ``rule.``."""
        return {**super().state(), **self._average.state()}

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        super().restore(state)
        self._average.restore(state)


class Swa(WrappedRule):
    """Stochastic weight averaging: the mean of the parameters of late rounds.

    Izmailov et al., Averaging Weights Leads to Wider Optima and Better Generalization
    (2018), algorithm 1; arXiv:1803.05407. On the server of a federation: Caldarola et al.,
    Improving Generalization in Federated Learning by Seeking Flat Minima (2022), section
    4.2; arXiv:2203.11834. Their cyclic learning rate is the trainer's part.

    Args:
        rule: Makes the rule.
        start: The first round that counts, from 1.
        every: Rounds from one that counts to the next, c.

    Raises:
        ConfigError: A value is out of its range.
    """

    def __init__(self, *, rule: Callable[[], Collector], start: int, every: int) -> None:
        super().__init__(rule=rule)
        check_option("start", start, start >= 1, "1 or more")
        check_option("every", every, every >= 1, "1 or more")
        self._start, self._every = start, every
        self._rounds = 0
        self._average = Average()

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return what the rule makes of the updates, and take it into the mean if it counts."""
        result = self.combined(parameters, updates)
        if result is parameters:
            return result
        self._rounds += 1
        since = self._rounds - self._start
        if since >= 0 and since % self._every == 0:
            self._average.move(result, 1.0 / (self._average.count + 1))
        return result

    def averaged(self, parameters: Parameters) -> Parameters:
        """Return the mean; before the first round that counts, ``parameters``."""
        return self._average.read(parameters)

    def state(self) -> State:
        """Return the mean, the number of rounds, and the rule's state under ``rule.``."""
        return {**super().state(), "rounds": self._rounds, **self._average.state()}

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        super().restore(state)
        self._rounds = int(state["rounds"])
        self._average.restore(state)

"""Attackers for `accuracy.py`: nodes that know what the honest send, and send something else."""

from collections.abc import Callable
from dataclasses import replace
from statistics import NormalDist

import numpy as np

from aeros_core.messages import Update
from aeros_core.parameters import Parameters


def flipped(own, honest, liars, rng):
    """Send the opposite of what was learnt, five times as far."""
    return -5.0 * own


def gaussian(own, honest, liars, rng):
    """Send noise ten times as long as the honest changes are on average."""
    length = 10.0 * np.linalg.norm(honest, axis=1).mean()
    return rng.standard_normal(own.size) * length / np.sqrt(own.size)


def little(own, honest, liars, rng):
    """Baruch et al., A Little Is Enough (2019), algorithm 3; arXiv:1902.06156."""
    nodes = len(honest) + liars
    supporters = nodes // 2 + 1 - liars
    z = NormalDist().inv_cdf((nodes - liars - supporters) / (nodes - liars))
    return honest.mean(axis=0) - max(z, 0.0) * honest.std(axis=0)


def inner_product(own, honest, liars, rng):
    """Xie et al., Fall of Empires (2020), section 4, epsilon 10; arXiv:1903.03936."""
    return -10.0 * honest.mean(axis=0)


ATTACKS: dict[str, Callable[..., np.ndarray]] = {
    "sign flip": flipped,
    "gaussian": gaussian,
    "a little": little,
    "inner product": inner_product,
}


class Infiltrated:
    """A trainer some of whose nodes lie.

    Args:
        trainer: Trains every node, liars too.
        attack: One of `ATTACKS`.
        part: Part of each cohort's nodes that lies, drawn once by name.
        seed: Draws the liars and their noise.
    """

    def __init__(self, trainer, attack, part, seed):
        self._trainer, self._attack, self._part = trainer, attack, part
        self._rng = np.random.default_rng(seed)
        self._liars = None

    def __getattr__(self, name):
        return getattr(self._trainer, name)

    def expects(self, schema):
        return self._trainer.expects(schema)

    def initialise(self, schema, seed):
        return self._trainer.initialise(schema, seed)

    def evaluate(self, parameters, data):
        return self._trainer.evaluate(parameters, data)

    def train(self, instruction, data):
        raise RuntimeError("attackers that know one another train as a cohort")

    def train_cohort(self, instructions, data):
        if self._liars is None:
            names = sorted(instruction.node for instruction in instructions)
            number = round(self._part * len(names))
            self._liars = set(self._rng.choice(names, number, replace=False))
        updates = list(self._trainer.train_cohort(instructions, data))
        base = instructions[0].parameters.vector
        changes = {update.node: update.parameters.vector - base for update in updates}
        honest = np.stack([c for node, c in changes.items() if node not in self._liars])
        for update in updates:
            yield self._told(update, base, changes[update.node], honest)

    def _told(self, update: Update, base, own, honest):
        if update.node not in self._liars:
            return update
        lie = base + self._attack(own, honest, len(self._liars), self._rng)
        vectors = {"float32": lie.astype(np.float32)}
        return replace(update, parameters=Parameters(update.parameters.layout, vectors))

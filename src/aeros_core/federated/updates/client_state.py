"""What a node does around its trainer: it keeps what is its own, and sends differences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from aeros_core import seeding
from aeros_core.arrays import Array
from aeros_core.errors import ConfigError
from aeros_core.federated.updates.validation import finite
from aeros_core.messages import Instruction, State, Update
from aeros_core.numerics.dtypes import is_real
from aeros_core.parameters import Layout, Parameters, TensorSpec
from aeros_core.roles.codec import Codec

__all__ = ["ClientState"]


class ClientState:
    """Where instructions pass before a trainer sees them, and updates before they are sent.

    Tensors that match `Instruction.personal` stay on their node: training starts from the
    node's own values, and what is sent holds the global ones, so that every rule leaves
    them as they are (Li et al., FedBN, 2021, algorithm 1, for the layers a rule names).
    One desk serves any number of nodes.

    Args:
        codec: Compresses differences; what it could not send waits here for the next time.
            None: parameters are sent as they are.
    """

    def __init__(self, codec: Codec | None = None) -> None:
        self._codec = codec
        self._own: dict[str, dict[str, Array]] = {}
        self._residuals: dict[str, Parameters] = {}
        self._known: dict[tuple[str, tuple[str, ...]], list[TensorSpec]] = {}

    def prepare(self, instruction: Instruction) -> Instruction:
        """Return the instruction as the node's trainer is to follow it.

        Raises:
            ConfigError: A tensor is to stay on its node that the model does not have.
        """
        own = self._own.get(instruction.node)
        if not instruction.personal or not self._personal(instruction) or own is None:
            return instruction
        parameters = instruction.parameters.copy()
        for name, values in own.items():
            parameters[name][...] = values
        return replace(instruction, parameters=parameters)

    def finish(self, instruction: Instruction, update: Update) -> Update:
        """Return the update as it is to be sent; the one passed in is used up.

        Args:
            instruction: As it came, before `prepare`.
            update: What the trainer made of it.
        """
        if instruction.personal:
            self._keep(instruction, update)
        if (instruction.delta or self._codec) and not update.delta:
            update = _difference(update, instruction.parameters)
        return self._encoded(instruction, update, self._codec) if self._codec else update

    def _encoded(self, instruction: Instruction, update: Update, codec: Codec) -> Update:
        """Return the update compressed; one with NaN or infinity as it is, to be refused.

        Neither such a change nor a residual that is not finite is kept: it would come back in
        every round to come.
        """
        if not all(map(finite, update.parameters.vectors.values())):
            return update
        left = self._residuals.get(instruction.node)
        rng = seeding.stream(instruction.seed, "encode")
        encoded, left = codec.encode(update.parameters, left, rng)
        if left is not None and _is_clean(left):
            self._residuals[instruction.node] = left
        return replace(update, parameters=Parameters(update.parameters.layout, encoded))

    def _keep(self, instruction: Instruction, update: Update) -> None:
        own = self._own.setdefault(instruction.node, {})
        for spec in self._personal(instruction):
            trained = update.parameters[spec.name]
            own[spec.name] = np.array(trained)
            trained[...] = instruction.parameters[spec.name]

    def _personal(self, instruction: Instruction) -> Sequence[TensorSpec]:
        layout, patterns = instruction.parameters.layout, instruction.personal
        key = (layout.digest, patterns)
        if key not in self._known:
            self._known[key] = _matching(layout, patterns)
        return self._known[key]

    def state(self) -> State:
        """Return what is kept: names of nodes, and one array a tensor, a row a node.

        Empty where no node keeps anything.
        """
        state: dict[str, Array | str] = {}
        if self._own:
            state |= _rows("personal", self._own)
        if self._residuals:
            state |= _rows("residual", {n: dict(p.items()) for n, p in self._residuals.items()})
        return state

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        self._own = _nodes("personal", state)
        left = _nodes("residual", state)
        residuals = {node: Parameters.of(tensors) for node, tensors in left.items()}
        self._residuals = {node: kept for node, kept in residuals.items() if _is_clean(kept)}


def _rows(kind: str, kept: Mapping[str, Mapping[str, Array]]) -> dict[str, Array | str]:
    names = sorted(kept)
    rows = {t: np.stack([kept[node][t] for node in names]) for t in kept[names[0]]}
    return {kind: json.dumps(names), **{f"{kind}.{t}": values for t, values in rows.items()}}


def _nodes(kind: str, state: State) -> dict[str, dict[str, Array]]:
    names = json.loads(str(state.get(kind, "[]")))
    prefix = f"{kind}."
    rows = {k.removeprefix(prefix): np.asarray(v) for k, v in state.items() if k.startswith(prefix)}
    return {
        node: {name: values[row].copy() for name, values in rows.items()}
        for row, node in enumerate(names)
    }


def _matching(layout: Layout, patterns: Sequence[str]) -> list[TensorSpec]:
    found = layout.matching(patterns)
    if not found:
        raise ConfigError(
            f"no tensor of the model is called {' or '.join(patterns)}",
            exists=", ".join(tensor.name for tensor in layout.tensors),
            hint="collector.personal=['<pattern>'] with * and ?",
        )
    return found


def _difference(update: Update, base: Parameters) -> Update:
    """Return the update as a difference, made in the update's own vectors.

    Integers and truth values stay the values they are: see `aeros_core.numerics.dtypes`.
    """
    vectors = dict(update.parameters.vectors)
    with np.errstate(over="ignore", invalid="ignore"):  # infinite, and refused as that
        for dtype in filter(is_real, vectors):
            vectors[dtype] -= base.vectors[dtype]
    return replace(update, delta=True)


def _is_clean(residual: Parameters) -> bool:
    return all(map(finite, residual.vectors.values()))

"""The engine that trains many clients at once, over their stacked weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from aeros_core.data import Dataset
from aeros_core.messages import Instruction, Metrics, Update
from aeros_core.parameters import Parameters
from aeros_torch.engines.sequential import SequentialEngine
from aeros_torch.engines.vectorised.memory import bytes_of_one, free_bytes, is_out_of_memory
from aeros_torch.engines.vectorised.optimizers import VectorisedOptimizer
from aeros_torch.engines.vectorised.packing import Pack, Span
from aeros_torch.engines.vectorised.stacked_module import StackedModule
from aeros_torch.engines.vectorised.step import VectorisedStep
from aeros_torch.modules.device import reproducible
from aeros_torch.training.context import TrainingContext

__all__ = ["VectorisedEngine"]

_SHARE = 0.25
"""Of the free memory, for one pack; updates that a collector still holds need their own."""


@dataclass(frozen=True, slots=True)
class _Member:
    instruction: Instruction
    data: Dataset
    lr: float


class VectorisedEngine:
    """Trains clients in packs, on the CPU or CUDA; updates lie where they were trained.

    A pack is as large as memory allows. Where it runs out all the same, packs are half as
    large from there on.

    Args:
        context: The network, the data and what to do.
        rule: Takes the steps.
    """

    def __init__(self, context: TrainingContext, rule: VectorisedOptimizer):
        self._shop, self._rule, self._stacking = context, rule, StackedModule(context)
        self._sequential = SequentialEngine(context)
        self._of_one: int | None = None
        self._most = 2**31
        self._kept: tuple[tuple[object, ...], VectorisedStep] | None = None

    def train(
        self, instructions: Sequence[Instruction], data: Sequence[Dataset], rates: Sequence[float]
    ) -> Iterator[Update]:
        """Yield the update of each instruction, in order; a pack is trained at once.

        Raises:
            ConfigError: The parameters are of another model.
        """
        members = map(_Member, instructions, data, rates)
        for _, alike in groupby(members, self._kind):
            waiting = list(alike)
            while waiting:
                some = waiting[: self._room()]
                if (updates := self._attempt(some)) is not None:
                    waiting = waiting[len(some) :]
                    yield from updates

    def _kind(self, member: _Member) -> tuple[int, int, float, float, bool]:
        """Return what all clients of a pack have in common."""
        sent = member.instruction
        table, mu = id(member.data.columns), self._shop.recipe.mu(sent)
        return id(sent.parameters), table, member.lr, mu, "drift" in sent.vectors

    def _room(self) -> int:
        """Return how many clients may be trained together."""
        if self._of_one is None:
            with self._computing():
                self._of_one = bytes_of_one(self._shop, self._stacking, self._rule.vectors)
        fitting = int(_SHARE * free_bytes(self._shop.network.device) / self._of_one)
        return max(1, min(self._most, fitting))

    def _attempt(self, some: Sequence[_Member]) -> list[Update] | None:
        """Train a pack; None if memory ran out, and there is hope that fewer fit."""
        try:
            with self._computing():
                return self._train(some)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error) or len(some) == 1:
                raise
        # Only here is what the failed attempt held free again: the error held its frames.
        self._most, self._kept = len(some) // 2, None
        if self._shop.network.device.type == "cuda":
            torch.cuda.empty_cache()
        return None

    def _computing(self) -> AbstractContextManager[None]:
        return reproducible(self._shop.network.device, 0, self._shop.recipe.threads)

    def _train(self, some: Sequence[_Member]) -> list[Update]:
        network, recipe, first = self._shop.network, self._shop.recipe, some[0]
        mu = recipe.mu(first.instruction)
        pack = Pack(
            [member.data for member in some],
            [member.instruction.seed for member in some],
            size=recipe.batch_size,
            epochs=recipe.epochs,
            steps=recipe.steps,
        )
        ordered = [some[place] for place in pack.order]
        network.load(first.instruction.parameters)
        network.module.train()
        slopes = self._slopes(len(some), first, mu)
        slopes.begin(network.flat, self._drifts(ordered))
        with slopes.stream():
            for span in pack.spans():
                self._walk(slopes, first.data, span)
        losses = (slopes.losses.double().cpu().numpy() / pack.seen).tolist()
        vectors = slopes.vectors.clone()
        rows = vectors if vectors.is_cuda else vectors.numpy()
        updates = {
            int(place): Update(
                node=member.instruction.node,
                round=member.instruction.round,
                parameters=Parameters(network.layout, {"float32": rows[row]}),
                examples=len(member.data),
                metrics={"loss": losses[row]},
                scalars=recipe.account(int(pack.steps[row]), member.lr, mu, len(network.weights)),
            )
            for row, (place, member) in enumerate(zip(pack.order, ordered, strict=True))
        }
        return [updates[place] for place in range(len(some))]

    def _walk(self, slopes: VectorisedStep, data: Dataset, span: Span) -> None:
        """Take the steps of a span; its row numbers go to the device together."""
        device, feed = self._shop.network.device, self._shop.feed
        rows = feed.resident.places(span.rows)
        counts = torch.from_numpy(span.counts.astype(np.float32)).to(device)
        for step, sizes in enumerate(span.counts):
            longest = int(sizes.max())
            examples, targets = feed.stacked(data, rows[step][:, :longest])
            shares = None
            if sizes.min() < longest:
                shares = _shares(counts[step], longest)
            slopes.take(examples, targets, counts[step], shares)

    def _slopes(self, clients: int, first: _Member, mu: float) -> VectorisedStep:
        """Return the weights and graphs of the last pack, if this one is of the same kind."""
        drifts = "drift" in first.instruction.vectors
        kind = (clients, first.lr, mu, drifts)
        if self._kept is not None and self._kept[0] == kind:
            return self._kept[1]
        self._kept = None  # before there is another one
        network, recipe = self._shop.network, self._shop.recipe
        slopes = VectorisedStep(
            self._stacking,
            self._rule,
            clients,
            network.flat,
            len(network.weights),
            lr=first.lr,
            mu=mu,
            clip_norm=recipe.clip_norm,
            drifts=drifts,
        )
        self._kept = kind, slopes
        return slopes

    def _drifts(self, members: Sequence[_Member]) -> list[Tensor]:
        taken = (self._shop.network.taken("drift", m.instruction.vectors) for m in members)
        return [drift for drift in taken if drift is not None]

    def evaluate(self, parameters: Parameters, data: Dataset) -> Metrics:
        """Return the metrics that `evaluation.evaluate` returns.

        Raises:
            ConfigError: The parameters are of another model.
        """
        return self._sequential.evaluate(parameters, data)


def _shares(counts: Tensor, longest: int) -> Tensor:
    """Return the weight of each example in its client's mean (clients, batch)."""
    there = torch.arange(longest, device=counts.device) < counts[:, None]
    return there / counts[:, None]

"""The engine that trains networks with compiled kernels."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import sqrt

import numpy as np
import torch.utils.dlpack

from aeros_core.arrays import Array, Vector
from aeros_core.data import Dataset
from aeros_core.messages import Instruction, Metrics, Update
from aeros_core.parameters import Parameters
from aeros_torch.engines.compiled.architecture import DenseArchitecture
from aeros_torch.engines.compiled.columns import Columns, writable
from aeros_torch.engines.compiled.kernel_set import kernels
from aeros_torch.kernels import permutation
from aeros_torch.training.context import TrainingContext

__all__ = ["CompiledEngine"]

_WORK = 2e7
"""Multiplications in a block of clients: about a millisecond, so that threads pay."""

_ROOM = 2**22
"""Numbers in the updates of a block, so that they are in cache when they are collected."""

_PART, _ROWS = 2048, 64
"""Rows of an evaluation that one thread takes, and that go through the network together."""


@dataclass(frozen=True, slots=True)
class _Block:
    """Clients that one thread trains in one call of the kernel."""

    instructions: list[Instruction]
    data: list[Dataset]
    counts: list[int]
    columns: tuple[Array, Array, Array]
    epochs: int
    lr: float
    mu: float
    drifts: bool


class CompiledEngine:
    """Trains clients in parallel, each on one thread, its weights in its own vector.

    Args:
        context: The network, the data and what to do.
        found: What the network is.
    """

    def __init__(self, context: TrainingContext, found: DenseArchitecture):
        self._recipe, self._network = context.recipe, context.network
        self._columns = Columns(context.feed.feature, context.feed.target, context.classes)
        self._kernels = kernels(found)
        self._sgd = found.sgd
        self._size = context.network.layout.sizes["float32"]
        self._workers = context.workers or _cores()
        self._pool: ThreadPoolExecutor | None = None
        self._classes = found.loss == "cross_entropy"

    def train(
        self, instructions: Sequence[Instruction], data: Sequence[Dataset], rates: Sequence[float]
    ) -> Iterator[Update]:
        """Yield the update of each instruction, in order; some are trained ahead.

        Args:
            instructions: What to start from.
            data: Data of each node, at least one example.
            rates: Learning rate of each.

        Raises:
            ConfigError: The parameters are of another model.
            DataError: A label is the code of no class.
        """
        blocks = list(self._blocks(instructions, data, rates))
        if len(blocks) == 1 or self._workers == 1:
            for block in blocks:
                yield from self._updates(block, *self._train(block))
            return
        for block, done in self._ahead(blocks):
            yield from self._updates(block, *done.result())

    def _ahead(self, blocks: Sequence[_Block]) -> Iterator[tuple[_Block, Future[_Trained]]]:
        """Train on every thread, and stay a few blocks ahead of whoever takes them."""
        pool = self._threads()
        waiting: deque[tuple[_Block, Future[_Trained]]] = deque()
        try:
            for block in blocks:
                waiting.append((block, pool.submit(self._train, block)))
                if len(waiting) > 2 * self._workers:
                    yield waiting.popleft()
            while waiting:
                yield waiting.popleft()
        finally:  # nobody waits for the rest if the round ended early
            for _, trained in waiting:
                trained.cancel()

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._workers, "aeros-compiled")
        return self._pool

    def _blocks(
        self, instructions: Sequence[Instruction], data: Sequence[Dataset], rates: Sequence[float]
    ) -> Iterator[_Block]:
        """Cut a cohort into blocks of neighbours that one call can train."""
        block, kind, work = None, None, 0.0
        for instruction, some, lr in zip(instructions, data, rates, strict=True):
            count = len(some)
            its = self._kind(instruction, some, count, lr)
            more = self._kernels.work * its[2] * count
            room = 0 if block is None else len(block.counts) * self._size
            if block is None or its != kind or work + more > _WORK or room > _ROOM:
                if block is not None:
                    yield block
                block, kind, work = _Block([], [], [], self._columns.of(some), *its[2:]), its, 0.0
            block.instructions.append(instruction)
            block.data.append(some)
            block.counts.append(count)
            work += more
        if block is not None:
            yield block

    def _kind(
        self, instruction: Instruction, data: Dataset, count: int, lr: float
    ) -> tuple[int, int, int, float, float, bool]:
        """Return what all clients of a block have in common."""
        recipe = self._recipe
        mu, epochs = recipe.mu(instruction), recipe.epochs
        if recipe.steps:
            epochs = -(-recipe.steps // -(-count // recipe.batch_size))
        drifts = "drift" in instruction.vectors
        return id(instruction.parameters), id(data.columns), epochs, lr, mu, drifts

    def _train(self, block: _Block) -> _Trained:
        start = self._host(block.instructions[0].parameters)
        counts = np.array(block.counts)
        vectors = np.empty((len(counts), self._size), np.float32)
        losses = np.empty(len(counts))
        recipe, sgd = self._recipe, self._sgd
        self._kernels.train(
            vectors,
            losses,
            start,
            self._drifts(block),
            block.columns,
            _order(block, counts),
            counts,
            (block.epochs, recipe.batch_size, recipe.steps or -1),
            (
                block.lr,
                float(sgd.get("momentum", 0.0)),
                float(sgd.get("dampening", 0.0)),
                bool(sgd.get("nesterov", False)),
                float(sgd.get("weight_decay", 0.0)),
                block.mu,
            ),
            *self._kernels.shape,
        )
        return vectors, losses

    def _drifts(self, block: _Block) -> Array:
        """Return the drift of each client (clients, size), or none (0, size)."""
        if not block.drifts:
            return np.empty((0, self._size), np.float32)
        taken = (self._network.taken("drift", sent.vectors) for sent in block.instructions)
        return np.stack([drift.numpy() for drift in taken if drift is not None])

    def _updates(self, block: _Block, vectors: Array, losses: Array) -> Iterator[Update]:
        recipe, layout, counts = self._recipe, self._network.layout, block.counts
        accounts = {
            count: recipe.account(recipe.count(count), block.lr, block.mu, self._size)
            for count in set(counts)
        }
        for instruction, count, vector, loss in zip(
            block.instructions, counts, vectors, losses.tolist(), strict=True
        ):
            yield Update(
                node=instruction.node,
                round=instruction.round,
                parameters=Parameters.trusted(layout, {"float32": vector}),
                examples=count,
                metrics={"loss": loss},
                scalars=accounts[count],
            )

    def evaluate(self, parameters: Parameters, data: Dataset) -> Metrics:
        """Return the metrics that `evaluation.evaluate` returns."""
        weights, columns = self._host(parameters), self._columns.of(data)
        rows = _rows(data)
        parts = [rows[first : first + _PART] for first in range(0, len(rows), _PART)]
        sums = np.zeros((len(parts), 3))

        def measure(part: Array, its: Array) -> None:
            self._kernels.measure(its, weights, columns, part, _ROWS, *self._kernels.shape)

        several = len(parts) > 1 and self._workers > 1
        deque((self._threads().map if several else map)(measure, parts, sums), maxlen=0)
        lost, first, second = (sums.sum(0) / len(rows)).tolist()
        if self._classes:
            return {"loss": lost, "accuracy": first}
        return {"loss": lost, "mae": first, "rmse": sqrt(second)}

    def _host(self, parameters: Parameters) -> Array:
        """Return the flat weights, on the host.

        Raises:
            ConfigError: They are of another model.
        """
        self._network.check(parameters)
        return writable(_array(parameters.vector))


_Trained = tuple[Array, Array]


def _order(block: _Block, counts: Array) -> Array:
    """Return the rows of a block in the order of training."""
    rows = np.concatenate([_rows(some) for some in block.data])
    order = np.empty(block.epochs * len(rows), np.int64)
    if permutation.agrees():
        seeds = np.array([instruction.seed for instruction in block.instructions], np.uint64)
        permutation.shuffle(order, rows, counts, seeds, block.epochs)
        return order
    ends = np.cumsum(counts)
    parts = [
        rows[end - count + rng.permutation(count)]
        for instruction, count, end in zip(block.instructions, counts, ends, strict=True)
        for rng in [np.random.default_rng(instruction.seed)]
        for _ in range(block.epochs)
    ]
    return np.concatenate(parts, out=order)


def _cores() -> int:
    there = getattr(os, "sched_getaffinity", None)
    return len(there(0)) if there else os.cpu_count() or 1


def _array(vector: Vector) -> Array:
    if isinstance(vector, np.ndarray):
        return vector
    array: Array = torch.utils.dlpack.from_dlpack(vector).cpu().numpy()
    return array


def _rows(data: Dataset) -> Array:
    return np.arange(len(data)) if data.rows is None else data.rows

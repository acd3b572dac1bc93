"""The weighted sum of a round's updates, taken as they arrive.

Sums are float64, so the result is the exact mean rounded once, however many clients
report and however they are grouped. That costs little: twelve arrivals folded at a time
into float64 make 64 bytes of memory traffic an element, into float32 they would make 56;
and a float32 sum of 1,000 models is off in its last two digits.

Updates may be full parameters or differences. Both are added up as they come; ``share``,
the part of the weight that was full parameters, says how much of the base is in the sum.
Integers and truth values are values in either case; `integers` takes their mean.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import numpy as np

from aeros_aggregators.arrays import buffer_pool, on_device
from aeros_aggregators.arrays.encoded_vectors import GROUP, Entries
from aeros_aggregators.arrays.host import host, is_real, stored, working
from aeros_aggregators.kernels import numpy_kernels
from aeros_aggregators.reduction import rows
from aeros_aggregators.reduction.preload import preload
from aeros_aggregators.reduction.rows import Row
from aeros_aggregators.reduction.server_steps import ServerStep, Step, average
from aeros_core.arrays import Array
from aeros_core.encoding import Encoded
from aeros_core.messages import Update
from aeros_core.numerics.aggregation import check_layout
from aeros_core.numerics.integer_means import IntegerMean
from aeros_core.parameters import Parameters

__all__ = ["WeightedSum"]

FEWEST, MOST = 1, 12
"""Models' worth of updates that are held and folded at once: the fewest where most have no room.

To hold more gains milliseconds an update. Large ones take seconds to come, and their number
is not to be seen in the memory of who takes them in.
"""


def buffer_budget() -> int:
    """Return the bytes that held updates may take: a sixteenth of the memory, 512 MiB at most."""
    return min(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 16, 1 << 29)


class WeightedSum:
    """Weighted sums of a round's updates, one float64 vector for each dtype.

    The vectors are kept for the next round: to map fresh ones takes the system about half
    as long as to add ten updates to them.
    """

    def __init__(self) -> None:
        self._totals: dict[str, Array] = {}
        self._integers: dict[str, IntegerMean] = {}
        self._held: list[Parameters] = []
        self._weights: list[float] = []
        self._limit = FEWEST
        self._afar = on_device.DeviceSum()

    def take(self, parameters: Parameters, updates: Iterable[Update]) -> bool:
        """Add up all updates, weighted by their examples; return whether there are any."""
        self.begin(parameters)
        if isinstance(updates, Sequence):  # somebody holds them all anyway
            self._limit = max(self._limit, len(updates))
        for update in updates:
            self.add(update, update.examples)
            del update  # while the next one is awaited, this one may be let go
        return self.weight > 0.0

    def begin(self, parameters: Parameters) -> None:
        """Forget everything; updates to come started from ``parameters``."""
        self.weight = 0.0
        self._full = 0.0
        self._parameters = parameters
        sizes = {d: n for d, n in parameters.layout.sizes.items() if is_real(d)}
        if {d: total.size for d, total in self._totals.items()} != sizes:
            self._totals = {dtype: np.empty(n, np.float64) for dtype, n in sizes.items()}
        self._integers = {d: IntegerMean() for d in parameters.layout.sizes if not is_real(d)}
        self._fresh = True
        self._afar = on_device.DeviceSum()
        self._held.clear()
        self._weights.clear()
        self._size = max(parameters.nbytes, 1)
        self._limit = MOST if MOST * self._size <= buffer_budget() else FEWEST
        self._bytes = 0
        for dtype, size in sizes.items():
            if size >= numpy_kernels.SMALL and not on_device.there(parameters.vectors[dtype]):
                preload(working(dtype))

    def add(self, update: Update, weight: float) -> None:
        """Add ``weight`` times an update.

        Raises:
            DataError: It has another layout.
        """
        check_layout(self._parameters, update)
        for dtype, integers in self._integers.items():
            integers.add(host(update.parameters.vectors[dtype], dtype), float(weight))
        if _is_afar(update.parameters):
            self._afar.add(update.parameters, weight)
            self._count(update, weight)
            return
        self._held.append(update.parameters)
        self._weights.append(float(weight))
        self._count(update, weight)
        self._bytes += update.parameters.nbytes
        if self._bytes >= self._limit * self._size and self._whole():
            self._fold()

    def _count(self, update: Update, weight: float) -> None:
        self.weight += weight
        self._full += 0.0 if update.delta else weight

    def mean(self, weight: float | None = None) -> Parameters:
        """Return the mean; of integers and truth values that of `integers`.

        Args:
            weight: What sums of floating-point numbers are divided by, if not by the
                weights' own sum.
        """
        return self._finish(average, weight)

    def step(self, step: Step) -> Parameters:
        """Return the parameters after ``step``; integers and truth values take the mean."""
        return self._finish(step, None)

    def terms(self) -> Iterator[ServerStep]:
        """Yield the sum of each vector of floating-point numbers."""
        self._settle()
        for dtype in self._totals:
            yield self._term(dtype, self.weight)

    def _finish(self, step: Step, weight: float | None) -> Parameters:
        self._settle()
        vectors = {d: integers.mean(self.weight) for d, integers in self._integers.items()}
        for dtype in self._totals:
            term = self._term(dtype, self.weight if weight is None else weight)
            step(term)
            vectors[dtype] = stored(term.out, dtype)
        self._held.clear()
        return Parameters(self._parameters.layout, vectors)

    def _term(self, dtype: str, weight: float) -> ServerStep:
        base = host(self._parameters.vectors[dtype], working(dtype))
        out, total = buffer_pool.take(base.size, base.dtype), self._totals[dtype]
        share = self._full / weight
        held = [row for row in self._rows(dtype, self._held) if not isinstance(row, Entries)]
        return ServerStep(dtype, out, base, total, held, self._weights, self._fresh, weight, share)

    def _rows(self, dtype: str, held: Iterable[Parameters]) -> list[Row]:
        return [rows.row(parameters, dtype) for parameters in held]

    def _settle(self) -> None:
        """Fold what a step cannot take up itself: a few entries, or rows of several forms."""
        forms = {id(form): form for form in map(rows.encoding_of, self._held)}
        sparse = (form is not None and isinstance(form, rows.Sparse) for form in forms.values())
        if len(forms) > 1 or any(sparse):
            self._fold()
        if fetched := self._afar.fetch():
            self._fold()
            for dtype, total in fetched.items():
                self._totals[dtype] = total if self._fresh else self._totals[dtype] + total
            self._fresh = False

    def _whole(self) -> bool:
        """Tell whether codes could be folded so that no other grouping gives other bits."""
        coded = rows.encoding_of(self._held[-1]) is not None
        return not coded or len(self._held) % GROUP == 0

    def _fold(self) -> None:
        if not self._held:
            return
        for _, group in groupby(zip(self._held, self._weights, strict=True), _form):
            held, weights = zip(*group, strict=True)
            for dtype, total in self._totals.items():
                rows.fold(total, self._rows(dtype, held), weights, self._fresh)
            self._fresh = False
        self._held.clear()
        self._weights.clear()
        self._bytes = 0


def _is_afar(parameters: Parameters) -> bool:
    """Tell whether a vector lies on a device; of most it is seen at once that they do not."""
    vectors = parameters.vectors
    if type(vectors) is Encoded:
        return False
    return any(type(v) is not np.ndarray and on_device.there(v) for v in vectors.values())


def _form(pair: tuple[Parameters, float]) -> int:
    return id(rows.encoding_of(pair[0]))

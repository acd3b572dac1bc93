"""Codecs that send a part of the numbers, which a kernel scatters into the sum."""

from __future__ import annotations

import numpy as np

from aeros_aggregators.arrays import encoded_vectors, parallel
from aeros_aggregators.arrays.encoded_vectors import Entries
from aeros_aggregators.arrays.host import is_real
from aeros_aggregators.kernels import numpy_kernels
from aeros_aggregators.options import check_option
from aeros_core.arrays import Array
from aeros_core.encoding import Encoded
from aeros_core.errors import ConfigError
from aeros_core.federated.updates.validation import finite
from aeros_core.numerics import proportions
from aeros_core.parameters import Parameters

__all__ = ["RandomK", "TopK"]

MOST = 2**32
"""Elements of a vector, so that a place is four bytes."""


class TopK:
    """The greatest changes, with error feedback; of equals, the first.

    Aji and Heafield, Sparse Communication for Distributed Gradient Descent (2017), section
    3; arXiv:1704.05021. What is not sent is added to the node's next change, which lets
    the method converge as if all were sent: Stich et al., Sparsified SGD with Memory
    (2018), algorithm 1; arXiv:1809.07599.

    Args:
        fraction: Part of the elements that is sent, at least one.

    Raises:
        ConfigError: ``fraction`` is not above 0 and up to 1.
    """

    def __init__(self, *, fraction: float) -> None:
        check_option("codec.fraction", fraction, 0 < fraction <= 1, "above 0, up to 1")
        self._fraction = fraction

    def encode(
        self,
        change: Parameters,
        residual: Parameters | None,
        rng: np.random.Generator,  # noqa: ARG002 - nothing is drawn
    ) -> tuple[Encoded, Parameters]:
        """Return the greatest of change and residual, and all the rest of them.

        Of a change that is not finite such a number is sent, so that it is refused, and the
        residual stays as it was.

        Raises:
            ConfigError: A vector has 2^32 elements or more.
        """
        arrays, lost, reals = encoded_vectors.plain(change), {}, encoded_vectors.reals(change)
        good = all(map(finite, reals.values()))
        before = encoded_vectors.reals(residual) if residual is not None and good else {}
        for dtype, vector in reals.items():
            _demand_places(vector.size)
            due = _due(vector, before[dtype]) if before else vector.copy()
            places = _greatest(due, _kept(self._fraction, due.size))
            arrays |= {f"{dtype}.places": places, dtype: due[places]}
            due[places] = 0.0
            lost[dtype] = due
        encoded = Encoded(arrays, change.layout.sizes, self)
        if good:
            return encoded, encoded_vectors.left_of(change, lost)
        return encoded, residual or encoded_vectors.left_of(change, {})

    def decode(self, encoded: Encoded, dtype: str) -> Array:
        """Return the vector of ``dtype``, zero where nothing was sent."""
        return _decoded(self, encoded, dtype)

    def fault(self, encoded: Encoded) -> str | None:
        """Say what is wrong with the arrays."""
        real = {d: n for d, n in encoded.sizes.items() if is_real(d)}
        kept = {d: _kept(self._fraction, n) for d, n in real.items()}
        shapes = {d: ("float32", k) for d, k in kept.items()}
        shapes |= {f"{d}.places": ("uint32", k) for d, k in kept.items()}
        if wrong := encoded_vectors.misfit(encoded, shapes):
            return wrong
        for dtype, size in real.items():
            places = encoded.arrays[f"{dtype}.places"]
            if (places >= size).any():
                return f"a place beyond the {size} elements of {dtype}"
            if (places[1:] <= places[:-1]).any():
                return "places that do not rise"
            if not np.isfinite(encoded.arrays[dtype]).all():
                return "NaN or infinity"
        return None

    def entries(self, encoded: Encoded, dtype: str) -> Entries:
        """Return what was sent of the vector of ``dtype``."""
        places = encoded.arrays[f"{dtype}.places"].astype(np.int64)
        return Entries(places, encoded.arrays[dtype])


class RandomK:
    """One change out of every stretch, drawn by a seed that is sent, times its length.

    Konečný et al., Federated Learning: Strategies for Improving Communication Efficiency
    (2016), section 3, subsampling; arXiv:1610.05492. The vector is cut into stretches of
    equal length, and one element of each is drawn, so that every element is as likely:
    the mean over draws is the change itself, and nothing waits on the node. Only the seed
    says which elements they are.

    Args:
        fraction: Part of the elements that is sent; the nearest one over a whole number.

    Raises:
        ConfigError: ``fraction`` is not above 0 and up to 1.
    """

    def __init__(self, *, fraction: float) -> None:
        check_option("codec.fraction", fraction, 0 < fraction <= 1, "above 0, up to 1")
        self._stretch = round(1 / proportions.exact(fraction))

    def encode(
        self,
        change: Parameters,
        residual: Parameters | None,  # noqa: ARG002 - nothing is kept
        rng: np.random.Generator,
    ) -> tuple[Encoded, None]:
        """Return the changes drawn, as they are, and the seed of each vector.

        Of a vector that is not finite only NaN is sent, whichever elements were drawn.

        Raises:
            ConfigError: A vector has 2^32 elements or more.
        """
        arrays = encoded_vectors.plain(change)
        for dtype, vector in encoded_vectors.reals(change).items():
            _demand_places(vector.size)
            seed = rng.integers(0, 2**63, 1, np.uint64)
            places, _ = _drawn(seed, vector.size, self._stretch)
            values = vector[places] if finite(vector) else np.full(places.size, np.nan, np.float32)
            arrays |= {dtype: values, f"{dtype}.seed": seed}
        return Encoded(arrays, change.layout.sizes, self), None

    def decode(self, encoded: Encoded, dtype: str) -> Array:
        """Return the vector of ``dtype``, zero where nothing was sent."""
        return _decoded(self, encoded, dtype)

    def fault(self, encoded: Encoded) -> str | None:
        """Say what is wrong with the arrays."""
        real = {d: n for d, n in encoded.sizes.items() if is_real(d)}
        shapes = {d: ("float32", -(-n // self._stretch)) for d, n in real.items()}
        shapes |= {f"{d}.seed": ("uint64", 1) for d in real}
        if wrong := encoded_vectors.misfit(encoded, shapes):
            return wrong
        most = np.finfo(np.float32).max / self._stretch
        good = all((np.abs(encoded.arrays[dtype]) <= most).all() for dtype in real)
        return None if good else "NaN, infinity or a number too great to be multiplied"

    def entries(self, encoded: Encoded, dtype: str) -> Entries:
        """Return what was sent of the vector of ``dtype``, multiplied."""
        seed, size = encoded.arrays[f"{dtype}.seed"], encoded.sizes[dtype]
        places, lengths = _drawn(seed, size, self._stretch)
        return Entries(places, encoded.arrays[dtype] * lengths)


def _kept(fraction: float, size: int) -> int:
    return min(size, max(1, proportions.at_least(fraction, size)))


def _due(vector: Array, before: Array) -> Array:
    """Return a finite change with what was left before; sums stay within float32."""
    most = np.finfo(np.float32).max
    with np.errstate(over="ignore"):
        due: Array = vector + before
    return np.clip(due, -most, most, out=due)


def _demand_places(size: int) -> None:
    if size >= MOST:
        raise ConfigError(
            f"a vector of {size} elements has too many places for this codec",
            exists=f"fewer than {MOST}",
            provider="aeros-aggregators",
            hint="collector/codec=int8",
        )


def _greatest(vector: Array, kept: int) -> Array:
    """Return the places of the ``kept`` greatest magnitudes, rising, uint32."""
    bits = vector.view(np.uint32)
    if vector.size < numpy_kernels.SMALL:
        magnitudes = bits & np.uint32(0x7FFFFFFF)
        least = int(np.partition(magnitudes, -kept)[-kept]) if kept else 0
        above = magnitudes > least
        equal = np.flatnonzero(magnitudes == least)[: kept - int(above.sum())]
        above[equal] = True
        return np.flatnonzero(above).astype(np.uint32)
    from aeros_aggregators.kernels import sparse as kernels

    counts = np.zeros(1 << 15, np.int64)
    kernels.count(counts, bits)
    reach = counts[::-1].cumsum()[::-1]  # how many magnitudes are as great or greater
    upper = int(np.flatnonzero(reach >= kept)[-1])
    found = np.empty(counts[upper], np.uint32)
    kernels.gather(found, bits, upper)
    wanted = kept - int(reach[upper] - counts[upper])
    least = int(np.partition(found, -wanted)[-wanted])
    places = np.empty(kept, np.uint32)
    kernels.pick(places, bits, least, wanted - int((found > least).sum()))
    return places


def _drawn(seed: Array, size: int, stretch: int) -> tuple[Array, Array]:
    """Return the place drawn of every stretch, int64, and the stretches' lengths, float32.

    Numbers are SplitMix64's (Steele et al., 2014, figure 15): the same whatever numpy's
    version.
    """
    if size >= numpy_kernels.SMALL:
        from aeros_aggregators.kernels import sparse as kernels

        count = -(-size // stretch)
        places, widths = np.empty(count, np.int64), np.empty(count, np.float32)
        parallel.spread(kernels.draw, count, places, widths, seed, size, stretch)
        return places, widths
    starts = np.arange(0, size, stretch, dtype=np.uint64)
    lengths = np.minimum(np.uint64(stretch), np.uint64(size) - starts)
    with np.errstate(over="ignore"):
        z = seed + np.arange(1, starts.size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    drawn = starts + ((z >> np.uint64(32)) * lengths >> np.uint64(32))
    return drawn.astype(np.int64), lengths.astype(np.float32)


def _decoded(codec: TopK | RandomK, encoded: Encoded, dtype: str) -> Array:
    if not is_real(dtype):
        return encoded.arrays[dtype]
    result = np.zeros(encoded.sizes[dtype], dtype)
    places, values = codec.entries(encoded, dtype)
    result[places] = encoded_vectors.narrowed(values, dtype)
    return result

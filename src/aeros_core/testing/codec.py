"""The contract of a codec: what is not finite stays so, and residuals stay clean."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aeros_core.arrays import Array
from aeros_core.encoding import Encoded
from aeros_core.parameters import Parameters
from aeros_core.roles.codec import Codec
from aeros_core.testing.options import OptionsContract

__all__ = ["CodecTests"]

_SOME = settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.differing_executors],
)
_BAD = st.sampled_from([float("nan"), float("inf"), float("-inf")])
_SEEDS = st.integers(0, 2**32 - 1)


class CodecTests(OptionsContract):
    """Tests that any codec passes. A subclass defines `make`.

    ``make()`` returns a new codec.

    Attributes:
        sizes: Lengths of the vectors that it is tried with.
    """

    sizes: tuple[int, ...] = (1, 7, 300)

    def make(self) -> Codec:
        """Return a new codec; every call the same."""
        raise NotImplementedError

    def use(self, part: Codec) -> None:
        """Encode a change."""
        rng = np.random.default_rng(0)
        part.fault(part.encode(_change(rng, self.sizes[0]), None, rng)[0])

    def test_is_a_codec(self) -> None:
        """The object has the role's methods."""
        assert isinstance(self.make(), Codec)

    @_SOME
    @given(seed=_SEEDS)
    def test_a_finite_change_is_accepted_and_not_changed(self, seed: int) -> None:
        """What was encoded decodes to finite numbers of the layout's dtypes and lengths."""
        rng = np.random.default_rng(seed)
        for size in self.sizes:
            change = _change(rng, size)
            before = change.digest
            encoded, _ = self.make().encode(change, None, rng)
            assert self.make().fault(encoded) is None
            assert change.digest == before
            for dtype, length in change.layout.sizes.items():
                decoded = np.asarray(encoded[dtype])
                assert decoded.dtype == dtype
                assert len(decoded) == length
                assert np.isfinite(decoded).all()

    @_SOME
    @given(seed=_SEEDS)
    def test_integers_and_truth_values_come_as_they_are(self, seed: int) -> None:
        """They are values, no differences: nothing of them may be lost."""
        rng = np.random.default_rng(seed)
        change = _change(rng, 20)
        encoded, _ = self.make().encode(change, None, rng)
        for dtype in ("uint8", "int64", "bool"):
            assert np.asarray(encoded[dtype]).tolist() == change.vectors[dtype].tolist()

    @_SOME
    @given(seed=_SEEDS, bad=_BAD, dtype=st.sampled_from(["float16", "float32", "float64"]))
    def test_what_is_not_finite_stays_not_finite(self, seed: int, bad: float, dtype: str) -> None:
        """Wherever NaN or infinity stands, `fault` finds it or it is there when decoded."""
        rng = np.random.default_rng(seed)
        for size in self.sizes:
            change = _change(rng, size)
            change.vectors[dtype][rng.integers(size)] = bad
            encoded, _ = self.make().encode(change, None, rng)
            assert self._is_found(encoded, dtype)

    @_SOME
    @given(seed=_SEEDS, bads=st.lists(st.booleans(), min_size=1, max_size=8))
    def test_what_is_refused_never_enters_a_residual(self, seed: int, bads: list[bool]) -> None:
        """After changes that are not finite the next one is encoded as if they had not been."""
        rng = np.random.default_rng(seed)
        codec, left, clean = self.make(), None, None
        for bad in bads:
            change = _change(rng, 30)
            if bad:
                change.vectors["float32"][rng.integers(30)] = np.nan
            draws = int(rng.integers(2**32))
            _, left = codec.encode(change, left, np.random.default_rng(draws))
            if not bad:
                _, clean = codec.encode(change, clean, np.random.default_rng(draws))
            assert left is None or all(np.isfinite(v).all() for v in left.vectors.values())
        if left is not None and clean is not None:
            assert left.digest == clean.digest

    def _is_found(self, encoded: Encoded, dtype: str) -> bool:
        if self.make().fault(encoded) is not None:
            return True
        return not np.isfinite(np.asarray(encoded[dtype])).all()


def _change(rng: np.random.Generator, size: int) -> Parameters:
    """Return a change with ``size`` numbers of every kind, its vectors its own."""
    tensors: dict[str, Array] = {
        dtype: rng.standard_normal(size).astype(dtype)
        for dtype in ("float16", "float32", "float64")
    }
    tensors["uint8"] = rng.integers(0, 256, size).astype(np.uint8)
    tensors["int64"] = rng.integers(-(2**62), 2**62, size)
    tensors["bool"] = rng.integers(0, 2, size).astype(bool)
    return Parameters.of(tensors)

"""An update's vectors in compressed form, decoded when somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, final

from aeros_core.arrays import Array, Vector

__all__ = ["Decoder", "Encoded"]


class Decoder(Protocol):
    """The part of a `codec.Codec` that reads what others wrote."""

    def decode(self, encoded: Encoded, dtype: str) -> Vector:
        """Return the host vector of ``dtype``, as long as ``encoded.sizes`` says."""

    def fault(self, encoded: Encoded) -> str | None:
        """Say what is wrong with arrays that a stranger sent; None if nothing is.

        Whatever passes may be decoded, and added by a kernel that checks nothing: the
        names, dtypes and lengths are right, indices are in range and none is repeated,
        every number is finite.
        """


@final
@dataclass(frozen=True, slots=True, eq=False)
class Encoded(Mapping[str, Any]):
    """Vectors by dtype, as `Parameters.vectors` has them, each decoded anew at every look.

    ``Parameters(layout, Encoded(...))`` is a Parameters to every rule that knows nothing
    of codecs; one that does reads ``arrays``. What travels is arrays and sizes: whoever
    receives them puts its own codec beside them, and update hygiene asks that for a
    `Decoder.fault` before anybody decodes. It has no subclass, so that each update is asked
    for its type, and not a Mapping whether it is one, which takes ten times as long.

    Args:
        arrays: 1-D host arrays by name; the codec's matter.
        sizes: Length of each decoded vector, by dtype.
        codec: What decodes them.
    """

    arrays: Mapping[str, Array]
    sizes: Mapping[str, int]
    codec: Decoder

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays together: what travels."""
        return sum(int(array.nbytes) for array in self.arrays.values())

    def __getitem__(self, dtype: str) -> Vector:
        """Return the vector of ``dtype``, decoded."""
        if dtype not in self.sizes:
            raise KeyError(dtype)
        return self.codec.decode(self, dtype)

    def __iter__(self) -> Iterator[str]:
        """Iterate over the dtypes."""
        return iter(self.sizes)

    def __len__(self) -> int:
        """Number of dtypes."""
        return len(self.sizes)

    def __contains__(self, dtype: object) -> bool:
        """Tell whether there is a vector of ``dtype``, without decoding it."""
        return dtype in self.sizes

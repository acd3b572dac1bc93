"""Model parameters: one layout, and one contiguous vector per dtype.

Named tensors are views into the vector. A kernel sees one array, a repository
stores one array, a wire message is one buffer.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import prod
from typing import Any

import numpy as np

from aeros_core.arrays import Array, Vector, on_host, pieces
from aeros_core.encoding import Encoded
from aeros_core.errors import ConfigError, DataError

__all__ = ["Layout", "Parameters", "TensorSpec"]

_BLOCK = 1 << 16
"""Elements whose distances are taken at a time, in float64."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Where one named tensor lies: ``shape`` elements of ``dtype`` from ``offset`` on."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    offset: int

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)


@dataclass(frozen=True, slots=True)
class Layout:
    """Names, shapes, dtypes and offsets of a model's tensors; hashed once.

    Offsets count elements within the vector of the tensor's dtype. Two layouts are
    equal when their digests are.

    Attributes:
        digest: SHA-256 of the layout, hexadecimal.
        sizes: Elements of each dtype's vector.
        nbytes: Bytes of all vectors together.
    """

    tensors: tuple[TensorSpec, ...]
    digest: str = field(init=False)
    sizes: Mapping[str, int] = field(init=False, compare=False, hash=False)
    nbytes: int = field(init=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        """Hash the layout, and add up lengths and bytes of the vectors."""
        sizes: dict[str, int] = {}
        for tensor in self.tensors:
            sizes[tensor.dtype] = max(sizes.get(tensor.dtype, 0), tensor.offset + tensor.size)
        object.__setattr__(self, "sizes", sizes)
        nbytes = sum(np.dtype(dtype).itemsize * size for dtype, size in sizes.items())
        object.__setattr__(self, "nbytes", nbytes)
        text = json.dumps(self.to_json(), separators=(",", ":"))
        object.__setattr__(self, "digest", hashlib.sha256(text.encode()).hexdigest())

    @classmethod
    def of(cls, shapes: Mapping[str, tuple[tuple[int, ...], str]]) -> Layout:
        """Lay out tensors one behind the other, from ``{name: (shape, dtype)}``.

        Raises:
            ConfigError: A tensor holds texts, objects or times.
        """
        ends: dict[str, int] = {}
        tensors = []
        for name, (shape, dtype) in shapes.items():
            kind = _number_kind(name, dtype)
            spec = TensorSpec(name, tuple(int(n) for n in shape), kind, ends.get(kind, 0))
            ends[kind] = spec.offset + spec.size
            tensors.append(spec)
        return cls(tuple(tensors))

    def matching(self, patterns: Sequence[str]) -> list[TensorSpec]:
        """Return the tensors whose names match one of the patterns (``*``, ``?``), in order."""
        return [t for t in self.tensors if any(fnmatchcase(t.name, p) for p in patterns)]

    def to_json(self) -> list[list[Any]]:
        """Return the layout as JSON-ready rows ``[name, shape, dtype, offset]``."""
        return [[t.name, list(t.shape), t.dtype, t.offset] for t in self.tensors]

    @classmethod
    def from_json(cls, rows: list[list[Any]]) -> Layout:
        """Read what `to_json` wrote."""
        return cls(tuple(TensorSpec(n, tuple(s), d, o) for n, s, d, o in rows))


@dataclass(frozen=True, slots=True)
class Parameters:
    """A model's parameters: a `Layout` and one 1-D vector per dtype.

    Args:
        layout: Where each named tensor lies.
        vectors: ``{dtype name: vector}``, each contiguous and of the layout's length; or
            an `Encoded`, which decodes them when asked.

    Raises:
        ConfigError: The vectors do not have the layout's dtypes and lengths.
    """

    layout: Layout
    vectors: Mapping[str, Vector]

    def __post_init__(self) -> None:
        """Refuse vectors that do not fit the layout."""
        lengths = _lengths(self.vectors)
        if lengths != self.layout.sizes:
            raise ConfigError(
                f"vectors of lengths {lengths} do not fit the layout",
                exists=f"lengths {dict(self.layout.sizes)}",
            )

    @classmethod
    def of(cls, tensors: Mapping[str, Array]) -> Parameters:
        """Pack named arrays into vectors, in the order given."""
        layout = Layout.of({name: (a.shape, str(a.dtype)) for name, a in tensors.items()})
        parameters = cls.zeros(layout)
        for spec in layout.tensors:
            parameters[spec.name][...] = tensors[spec.name]
        return parameters

    @classmethod
    def trusted(cls, layout: Layout, vectors: Mapping[str, Vector]) -> Parameters:
        """Return what the constructor does without a look at the vectors.

        For engines that make thousands of them, from vectors they have made by the layout.
        """
        made = object.__new__(cls)
        object.__setattr__(made, "layout", layout)
        object.__setattr__(made, "vectors", vectors)
        return made

    @classmethod
    def zeros(cls, layout: Layout) -> Parameters:
        """Return host parameters of this layout, all zero."""
        return cls(layout, {d: np.zeros(n, dtype=d) for d, n in layout.sizes.items()})

    @property
    def vector(self) -> Vector:
        """The float32 vector: the whole of nearly every model."""
        return self.vectors["float32"]

    @property
    def nbytes(self) -> int:
        """Bytes of all vectors together, as encoded: the payload of one message."""
        return self.vectors.nbytes if type(self.vectors) is Encoded else self.layout.nbytes

    def __getitem__(self, name: str) -> Vector:
        """Return the tensor called ``name`` as a view, shaped."""
        for spec in self.layout.tensors:
            if spec.name == name:
                return self._view(spec)
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the tensors, in layout order."""
        return (spec.name for spec in self.layout.tensors)

    def items(self) -> Iterator[tuple[str, Vector]]:
        """Yield ``(name, view)`` in layout order."""
        for spec in self.layout.tensors:
            yield spec.name, self._view(spec)

    def _view(self, spec: TensorSpec) -> Vector:
        flat = self.vectors[spec.dtype][spec.offset : spec.offset + spec.size]
        return flat.reshape(spec.shape)

    def copy(self) -> Parameters:
        """Return host parameters with vectors of their own."""
        vectors = {dtype: np.array(on_host(vector)) for dtype, vector in self.vectors.items()}
        return Parameters(self.layout, vectors)

    def distance(self, other: Parameters) -> float:
        """Return the Euclidean distance (L2) to other parameters, computed in float64.

        Floating-point numbers count, integers and truth values do not: they are counters and
        masks, whose differences would outweigh those of weights.

        Raises:
            DataError: The other parameters have another layout.
        """
        if other.layout is not self.layout and other.layout != self.layout:
            raise DataError("a distance needs parameters of one layout")
        squares = 0.0
        for dtype in self.layout.sizes:
            if np.dtype(dtype).kind == "f":
                here, there = on_host(self.vectors[dtype]), on_host(other.vectors[dtype])
                for start in range(0, here.size, _BLOCK):
                    part = slice(start, start + _BLOCK)
                    gap = np.subtract(here[part], there[part], dtype=np.float64)
                    squares += float((gap * gap).sum())  # BLAS adds by its number of threads
        return math.sqrt(squares)

    @property
    def digest(self) -> str:
        """SHA-256 over the layout and the SHA-256 of each 16 MiB piece, hexadecimal.

        Pieces are those of each vector, in the order of the dtypes' names, the last of a
        vector being shorter. They are hashed side by side, and a store whose chunks are
        these pieces need not hash them again.
        """
        parts = [piece for dtype in sorted(self.vectors) for piece in pieces(self.vectors[dtype])]
        return hashlib.sha256(self.layout.digest.encode() + _hashed(parts)).hexdigest()


def _number_kind(name: str, dtype: str) -> str:
    """Return the name of a dtype of numbers, by which it is found again wherever it is read.

    Raises:
        ConfigError: It holds texts, records, objects or times.
    """
    try:
        kind = str(np.dtype(dtype).name)
        if np.dtype(kind).kind not in "OSUmM":
            return kind
    except TypeError:  # texts and records have more in their names
        pass
    raise ConfigError(f"tensor '{name}' holds {dtype}, which is no kind of number")


def _lengths(vectors: Mapping[str, Vector]) -> dict[str, int]:
    if type(vectors) is Encoded:
        return dict(vectors.sizes)
    return {dtype: len(vector) for dtype, vector in vectors.items()}


def _hashed(parts: list[memoryview]) -> bytes:
    """Return the SHA-256 of each part, one behind the other; hashlib lets threads run."""
    if len(parts) < 2:
        return b"".join(map(_sha256, parts))
    with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
        return b"".join(pool.map(_sha256, parts))


def _sha256(piece: memoryview) -> bytes:
    return hashlib.sha256(piece).digest()

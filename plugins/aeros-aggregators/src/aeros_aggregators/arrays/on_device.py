"""Updates whose vectors lie on a device: worked on there, through torch.

What is done on the device is what reads every update: weighted sums, medians, trimmed
means and Krum's distances. One vector comes home, on which the server's step is done:
its moments are stored with every round, so they are at home anyway. torch is imported
when the first such vector comes; whatever speaks DLPack is read in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from aeros_core.arrays import Array, Vector
from aeros_core.numerics.dtypes import is_real
from aeros_core.parameters import Parameters

__all__ = ["DeviceSum", "pairs", "shifted", "there", "to_host", "trimmed_mean"]

HOSTS = frozenset({1, 3})
"""DLPack's numbers of memory that numpy can read: the host's, pageable or pinned."""

COLUMNS = 1 << 22
"""Coordinates that are sorted or compared at once, so that copies stay small."""


def there(vector: Vector) -> bool:
    """Tell whether a vector lies on a device."""
    if isinstance(vector, np.ndarray):
        return False
    return int(vector.__dlpack_device__()[0]) not in HOSTS


def to_host(vector: Vector) -> Array:
    """Return a copy of a device's vector on the host."""
    array: Array = _tensor(vector).cpu().numpy()
    return array


def _tensor(vector: Vector) -> Any:
    import torch

    if isinstance(vector, np.ndarray):
        return torch.from_numpy(vector.copy())  # torch warns of arrays that are read-only
    return vector if isinstance(vector, torch.Tensor) else torch.utils.dlpack.from_dlpack(vector)


def shifted(row: Vector, base: Array) -> Any:
    """Return a device's difference as full parameters, there."""
    tensor = _tensor(row)
    return tensor + _tensor(base).to(tensor.device)


class DeviceSum:
    """Weighted sums of updates on a device, one float64 vector there for each dtype."""

    def __init__(self) -> None:
        self._totals: dict[str, Any] = {}

    def add(self, parameters: Parameters, weight: float) -> None:
        """Add ``weight`` times an update's real numbers; nothing of it is kept."""
        import torch

        device = next(_tensor(v).device for v in parameters.vectors.values() if there(v))
        for dtype, vector in parameters.vectors.items():
            if not is_real(dtype):
                continue  # few, and added up exactly at home
            row = _tensor(vector).to(device)
            if dtype not in self._totals:
                self._totals[dtype] = torch.zeros(len(row), dtype=torch.float64, device=device)
            self._totals[dtype].add_(row, alpha=weight)

    def fetch(self) -> dict[str, Array]:
        """Return the sums on the host, and forget them; empty if nothing was added."""
        fetched = {dtype: to_host(total) for dtype, total in self._totals.items()}
        self._totals = {}
        return fetched


def trimmed_mean(rows: Sequence[Vector], cut: int) -> Array:
    """Return what `order_statistics.middle` returns, sorted on the device of the first row."""
    import torch

    tensors, stop = [_tensor(row) for row in rows], len(rows) - cut
    out = torch.empty_like(tensors[0])
    for low in range(0, len(out), COLUMNS):
        part = torch.stack([t[low : low + COLUMNS].to(out.device) for t in tensors])
        ordered = part.sort(dim=0).values[cut:stop]
        out[low : low + COLUMNS] = ordered.mean(dim=0, dtype=torch.float64)
    return to_host(out)


def pairs(rows: Sequence[Vector]) -> Array:
    """Return what `distances.pairs` returns; differences are squared, never the vectors."""
    import torch

    tensors = [_tensor(row) for row in rows]
    result = torch.zeros(len(rows), len(rows), dtype=torch.float64)
    for low in range(0, len(tensors[0]), COLUMNS):
        part = torch.stack([t[low : low + COLUMNS].to(tensors[0].device) for t in tensors])
        for i, row in enumerate(part):
            result[i] += ((part - row) ** 2).sum(dim=1, dtype=torch.float64).cpu()
    found: Array = result.numpy()
    return found

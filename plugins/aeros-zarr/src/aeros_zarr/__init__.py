"""The repository of aeros on a local zarr v3 store."""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from aeros_core import hookimpl

__all__ = ["Compression", "Zarr", "aeros_repositories"]


class Compression(Enum):
    """How arrays are compressed."""

    none = "none"
    zstd = "zstd"


@dataclass
class Zarr:
    """Keeps runs, rounds and models in one folder of this machine.

    Args:
        path: The folder, made when first written to; relative to where aeros is started.
        compression: ``none``, or ``zstd`` (float parameters shrink by a tenth or less and
            are stored at about a third of the speed).
        durable: Wait until the disk has it (fsync) before a round counts as committed.
            Without it a killed process still loses nothing, a power cut may.
        keep: Rounds of a run, from the last one back, whose parameters are kept, at
            least 1. What every round did and measured is kept for ever.
    """

    _target_: str = "aeros_zarr.repository.ZarrRepository"
    path: str = "aeros-repository"
    compression: Compression = Compression.none
    durable: bool = True
    keep: int = 2


@hookimpl
def aeros_repositories() -> dict[str, type[Any]]:
    """Offer ``repository=zarr``."""
    return {"zarr": Zarr}

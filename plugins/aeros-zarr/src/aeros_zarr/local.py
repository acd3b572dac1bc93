"""The repository in a folder: ``repository=zarr``."""

from __future__ import annotations

from pathlib import Path

from aeros_core.errors import ConfigError
from aeros_zarr import Compression
from aeros_zarr.archive.repository import StoreRepository
from aeros_zarr.archive.retention import rules
from aeros_zarr.stores.disk import Disk
from aeros_zarr.stores.errors import repository_errors, typed

__all__ = ["ZarrRepository"]


class ZarrRepository(StoreRepository):
    """A repository in a folder; see `StoreRepository`.

    Args:
        path: The folder.
        compression: Compression of stored arrays.
        durable: Wait until writes are on stable storage (fsync).
        keep: Number of most recent rounds of a run whose parameters are kept.
        keep_last: Number of newest versions of a model kept after a run finishes.
        keep_best: Number of versions with the best ``keep_metric`` kept as well; with 0 for
            both, all versions are kept.
        keep_metric: Name of the metric that ranks versions.
        verify: Hash the parameters of a model when they are read.

    Raises:
        ConfigError: ``path`` is a file, or a number is below its minimum.
        RepositoryError: The folder was written by a newer version.
    """

    def __init__(
        self, *, path: str, compression: Compression, durable: bool, keep: int, keep_last: int,
        keep_best: int, keep_metric: str, verify: bool,
    ) -> None:  # fmt: skip
        self.path = _folder(path)
        super().__init__(
            Disk(self.path, durable=durable), compression=compression, keep=keep,
            rules=rules(keep_last, keep_best, keep_metric), verify=verify,
            elsewhere=lambda folder: typed("repository.path", str(Path(path) / folder)),
        )  # fmt: skip


def _folder(path: str) -> Path:
    if not path:
        raise ConfigError("repository.path is empty", hint="repository.path=aeros-repository")
    folder = Path(path).expanduser().absolute()
    with repository_errors("the repository could not be opened", Disk(folder, durable=False)):
        files = [p for p in (folder, *folder.parents) if p.exists() and not p.is_dir()]
    if files:
        raise ConfigError(
            f"repository.path must be a folder, got {path}: {files[0]} is a file",
            hint="repository.path=<folder>",
        )
    return folder

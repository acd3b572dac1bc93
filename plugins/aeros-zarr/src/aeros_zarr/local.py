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
    """Keeps runs, rounds and models in a folder; see `StoreRepository`.

    Args:
        path: The folder.
        compression: How arrays are compressed.
        durable: Whether to wait for stable storage.
        keep: Rounds of a run, from the last one back, whose parameters are kept.
        keep_last: Versions of a model, from the newest back, that a finished run leaves.
        keep_best: Versions with the best ``keep_metric`` that it leaves; 0 and 0 for all.
        keep_metric: Name of a metric.
        verify: Whether the parameters of a model are hashed when they are read.

    Raises:
        ConfigError: There is a file at ``path``, or a number is too low.
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
            f"repository.path={path} cannot be a folder: {files[0]} is a file",
            hint="repository.path=<a folder, or one that can be made>",
        )
    return folder

"""The repository over any `Store`: `Repository` and its optional capabilities."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.models.retention import Rules
from aeros_core.records import Algorithm, Checkpoint, Run
from aeros_core.results import Result, Round
from aeros_core.roles.repository import Repository
from aeros_zarr import Compression
from aeros_zarr.archive.algorithms import Algorithms
from aeros_zarr.archive.maintenance import Maintenance
from aeros_zarr.archive.models.model_repository import ModelArchive
from aeros_zarr.archive.models.stored_models import Models
from aeros_zarr.archive.retention import retire
from aeros_zarr.archive.runs.run_locks import RunLocks
from aeros_zarr.archive.runs.stored_runs import Runs
from aeros_zarr.blobs.blobs import Blobs
from aeros_zarr.format.marker import FormatMarker
from aeros_zarr.stores.store import Store

__all__ = ["StoreRepository"]


class StoreRepository(ModelArchive):
    """A repository in a store; implements `repository.Repository`.

    Nothing is written before `begin` or `publish`, so a read-only store can be read.

    Args:
        store: The store.
        compression: Compression of stored arrays.
        keep: Number of most recent rounds of a run whose parameters are kept, at least 1.
        others: Other stores that may have copies of damaged files.
        rules: Rules for the model versions kept after a run finishes; None to keep all.
        verify: Hash the parameters of a model when they are read.
        elsewhere: Returns the option to type for a folder below the store.

    Raises:
        ConfigError: ``keep`` is below 1.
        RepositoryError: The store was written by a newer version, or cannot be reached.
    """

    def __init__(
        self, store: Store, *, compression: Compression, keep: int, others: Sequence[Store] = (),
        rules: Rules | None = None, verify: bool = True, elsewhere: Callable[[str], str] = str,
    ) -> None:  # fmt: skip
        if keep < 1:
            raise ConfigError(
                f"repository.keep must be at least 1, got {keep}",
                hint="repository.keep=1 keeps only the last round",
            )  # fmt: skip
        self._store = store
        self._rules = rules
        self._blobs = Blobs(store, compression, others)
        marker = FormatMarker(store, elsewhere)
        models = Models(store, Blobs(store, compression, others, verify=verify))
        super().__init__(models, marker, RunLocks(store, marker))
        self._runs = Runs(store, self._blobs, keep)
        self._algorithms = Algorithms(store, self._blobs)
        self._upkeep = Maintenance(store, self._blobs, marker, self._runs, models, self._algorithms)

    def begin(self, run: Run) -> None:
        """Record the start of a run; recording the same run again changes nothing.

        Raises:
            ConfigError: The run's id or its task's name is not a valid file name.
            RepositoryError: Another run has this id, or the store cannot be written.
        """
        self._marker.set()
        self._runs.begin(run)

    def acquire(self, run: str) -> None:
        """Lock a run until `release`, or until this process ends, even if it is killed.

        Raises:
            ConfigError: Another process holds the run.
            RepositoryError: The store cannot be written.
        """
        self._locks.acquire(run)

    def release(self, run: str) -> None:
        """Release the lock of a run; a run that is not locked is ignored."""
        self._locks.release(run)

    def runs(self, task: str | None = None) -> Sequence[Run]:
        """Return the runs of a task, or all runs, oldest first.

        A run whose record is damaged is skipped, and a warning logged.
        """
        return self._runs.runs(task)

    def commit(self, run: str, checkpoint: Checkpoint) -> None:
        """Store one round of a run; a round of this number and later ones are replaced.

        Afterwards the parameters of all but the last ``keep`` rounds are removed.

        Raises:
            RepositoryError: The run does not exist, a state holds something other than arrays
                and scalars, or the store cannot be written; the error lists the rounds that
                remain readable.
        """
        self._locks.check(run)
        self._runs.commit(run, checkpoint)

    def latest(self, run: str) -> Checkpoint | None:
        """Return the last undamaged round of a run; None if the run has no rounds.

        A damaged round is skipped in favour of the one before, and a warning logged.

        Raises:
            RepositoryError: The run does not exist, or all kept rounds are damaged.
        """
        return self._runs.latest(run)

    def history(self, run: str) -> Sequence[Round]:
        """Return the reports of all committed rounds of a run, in order.

        Raises:
            RepositoryError: The run does not exist, or the record of a round is damaged.
        """
        return self._runs.history(run)

    def finish(self, run: str, result: Result) -> None:
        """Store the result of a run; a later result of the same run replaces it.

        Versions of its model that the rules do not keep are then removed.

        Raises:
            RepositoryError: The run does not exist, or the store cannot be written.
        """
        self._locks.check(run)
        self._runs.finish(run, result)
        name = result.model.get("name")
        if self._rules and name:
            retire(self, str(name), self._rules)

    def result(self, run: str) -> Mapping[str, Any] | None:
        """Return `Result.to_json` of a run; None if it has not finished.

        Raises:
            RepositoryError: The run does not exist, or the record is damaged.
        """
        return self._runs.result(run)

    def verify(
        self, name: str | None = None, version: int | str | None = None
    ) -> Mapping[str, str]:
        """Read and hash a version, a model, or the repository; see `Maintenance.verify`.

        Raises:
            ConfigError: The name is invalid.
            RepositoryError: The model, version or tag does not exist.
        """
        return self._upkeep.verify(name, version)

    def heal(
        self, name: str | None, version: int | str | None, others: Sequence[Repository]
    ) -> Mapping[str, str]:
        """Repair damaged files from copies; see `Maintenance.heal`.

        Raises:
            RepositoryError: The version does not exist, one of the others is a different kind
                of repository, or the store cannot be written.
        """
        return self._upkeep.heal(name, version, [*map(_store_of, others)])

    def collect(self, seconds: float) -> Mapping[str, int]:
        """Remove blobs that no record names, and unfinished writes; see `Maintenance.collect`.

        Raises:
            RepositoryError: A record is damaged, so its blobs are unknown; or the store cannot
                be written.
        """
        return self._upkeep.collect(seconds)

    def store_algorithm(self, algorithm: Algorithm, wheel: bytes) -> None:
        """Store a version of an algorithm; storing the same version again changes nothing.

        Raises:
            ConfigError: Its name or version is not a valid file name.
            RepositoryError: The wheel does not match the statement, this version is stored
                with different content or signature, or the store cannot be written.
        """
        self._marker.set()
        self._algorithms.store(algorithm, wheel)

    def algorithms(self, name: str | None = None) -> Sequence[Algorithm]:
        """Return all versions of an algorithm, or of all, sorted by name and version.

        A version whose record is damaged is skipped, and a warning logged.
        """
        return self._algorithms.stored(name)

    def algorithm(self, name: str, version: str) -> tuple[Algorithm, bytes]:
        """Return a version of an algorithm and its wheel, with checksums verified.

        The signature is not verified here, but by the node that installs the algorithm.

        Raises:
            ConfigError: The name or version is invalid.
            RepositoryError: The algorithm or version does not exist, or a file is damaged.
        """
        return self._algorithms.get(name, version)


def _store_of(repository: Repository) -> Store:
    if not isinstance(repository, StoreRepository):
        raise RepositoryError(
            f"files cannot be repaired from a {type(repository).__name__}",
            exists="repository=zarr, repository=s3",
        )
    return repository._store

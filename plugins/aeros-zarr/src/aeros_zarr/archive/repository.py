"""Runs, models and algorithms in any `Store`: the methods of `Repository` and its powers."""

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
    """Keeps runs, rounds and models in a store; see `repository.Repository`.

    Nothing is written before `begin` or `publish`, so a store that can only be read
    serves for reading.

    Args:
        store: Where they are kept.
        compression: How arrays are compressed.
        keep: Rounds of a run, from the last one back, whose parameters are kept.
        others: Other stores that may have copies of what is damaged here.
        rules: Versions of a model that are kept when a run has ended well; None for all.
        verify: Whether the parameters of a model are hashed when they are read.
        elsewhere: Returns what to type for a folder below the store.

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
        """Record that a run starts; the same run once more changes nothing.

        Raises:
            ConfigError: The run's id or its task's name cannot name a file.
            RepositoryError: Another run has this id, or the store refuses.
        """
        self._marker.set()
        self._runs.begin(run)

    def acquire(self, run: str) -> None:
        """Hold a run until `release`, or until this process ends, however it does.

        Raises:
            ConfigError: Another process holds it.
            RepositoryError: The store refuses.
        """
        self._locks.acquire(run)

    def release(self, run: str) -> None:
        """Let others hold a run; one that is not held is no fault."""
        self._locks.release(run)

    def runs(self, task: str | None = None) -> Sequence[Run]:
        """Return the runs of a task, or all, oldest first.

        One whose record is damaged is left out, and a warning logged.
        """
        return self._runs.runs(task)

    def commit(self, run: str, checkpoint: Checkpoint) -> None:
        """Store one round of a run; a round of this number and later ones are replaced.

        Afterwards the parameters of all but the last ``keep`` rounds are removed.

        Raises:
            RepositoryError: The run never began, a state holds something other than
                arrays and scalars, or the store refuses: it says what stays readable.
        """
        self._locks.check(run)
        self._runs.commit(run, checkpoint)

    def latest(self, run: str) -> Checkpoint | None:
        """Return the last round of a run whose every byte verifies; None if it has none.

        A damaged one is passed over for the one before, and a warning logged.

        Raises:
            RepositoryError: The run never began, or all rounds that are kept are damaged.
        """
        return self._runs.latest(run)

    def history(self, run: str) -> Sequence[Round]:
        """Return what every committed round of a run did, in order.

        Raises:
            RepositoryError: The run never began, or the record of a round is damaged.
        """
        return self._runs.history(run)

    def finish(self, run: str, result: Result) -> None:
        """Store how a run ended; a later end of the same run replaces it.

        Versions of its model that the rules do not keep are then removed.

        Raises:
            RepositoryError: The run never began, or the store refuses.
        """
        self._locks.check(run)
        self._runs.finish(run, result)
        name = result.model.get("name")
        if self._rules and name:
            retire(self, str(name), self._rules)

    def result(self, run: str) -> Mapping[str, Any] | None:
        """Return `Result.to_json` of how a run ended; None if it has not.

        Raises:
            RepositoryError: The run never began, or the record is damaged.
        """
        return self._runs.result(run)

    def verify(
        self, name: str | None = None, version: int | str | None = None
    ) -> Mapping[str, str]:
        """Read and hash a version, a whole model, or everything; see `Maintenance.verify`.

        Raises:
            ConfigError: The name cannot be one.
            RepositoryError: There is no such model, version or tag.
        """
        return self._upkeep.verify(name, version)

    def heal(
        self, name: str | None, version: int | str | None, others: Sequence[Repository]
    ) -> Mapping[str, str]:
        """Write what is damaged again, from other copies; see `Maintenance.heal`.

        Raises:
            RepositoryError: There is no such version, one of the others is another kind of
                repository, or the store refuses.
        """
        return self._upkeep.heal(name, version, [*map(_store_of, others)])

    def collect(self, seconds: float) -> Mapping[str, int]:
        """Remove blobs that nothing names, and what was left unfinished; see `Maintenance.collect`.

        Raises:
            RepositoryError: A record is damaged, so that nobody knows what it names; or
                the store refuses.
        """
        return self._upkeep.collect(seconds)

    def store_algorithm(self, algorithm: Algorithm, wheel: bytes) -> None:
        """Store a version of an algorithm; the same once more changes nothing.

        Raises:
            ConfigError: Its name or its version cannot name a file.
            RepositoryError: The wheel is not the one that the statement names, this version
                is there with another content or signature, or the store refuses.
        """
        self._marker.set()
        self._algorithms.store(algorithm, wheel)

    def algorithms(self, name: str | None = None) -> Sequence[Algorithm]:
        """Return every version of an algorithm, or of all, by name and version.

        One whose record is damaged is left out, and a warning logged.
        """
        return self._algorithms.stored(name)

    def algorithm(self, name: str, version: str) -> tuple[Algorithm, bytes]:
        """Return a version of an algorithm and its wheel, every byte verified.

        The signature is not looked at; whoever installs it does.

        Raises:
            ConfigError: What is asked for cannot be a name or a version.
            RepositoryError: There is no such algorithm or version, or a file is damaged.
        """
        return self._algorithms.get(name, version)


def _store_of(repository: Repository) -> Store:
    if not isinstance(repository, StoreRepository):
        raise RepositoryError(
            f"nothing can be healed from a {type(repository).__name__}",
            exists="repository=zarr, repository=s3",
        )
    return repository._store

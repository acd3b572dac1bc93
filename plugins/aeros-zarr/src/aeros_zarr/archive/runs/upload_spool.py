"""Local storage of rounds that could not be uploaded yet."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from aeros_core.errors import RepositoryError
from aeros_core.records import Checkpoint, Run
from aeros_core.results import Result
from aeros_zarr import Compression
from aeros_zarr.archive.runs.pending_uploads import End, State
from aeros_zarr.archive.runs.stored_runs import Runs
from aeros_zarr.blobs.blobs import Blobs
from aeros_zarr.stores.disk import Disk
from aeros_zarr.stores.layout import digests, numbers
from aeros_zarr.stores.scratch import prune

__all__ = ["UploadSpool"]

_ALL = 2**62


class UploadSpool:
    """A durable local store of rounds, kept until the run is dropped.

    Args:
        folder: The folder, created on first write.

    Attributes:
        disk: The folder as a store.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = Disk(folder, durable=True)
        self._runs = Runs(self.disk, Blobs(self.disk, Compression.none), _ALL)

    def holds(self, run: str) -> bool:
        """Return whether the spool holds any data of a run."""
        return self.disk.exists(f"runs/{run}/run.json")

    def store(self, run: str, held: Checkpoint | Result, before: End | None) -> None:
        """Store a round or the result of a run.

        Args:
            run: ID of the run.
            held: The round or the result.
            before: The result that the bucket had when this process resumed the run.

        Raises:
            RepositoryError: The local disk cannot be written.
        """
        if not self.holds(run):
            self._runs.begin(Run(run, "spool", "", {"end": before}, {}, ""))
        if isinstance(held, Checkpoint):
            self._runs.commit(run, held)
        else:
            self._runs.finish(run, held)

    def latest(self, run: str) -> Checkpoint | None:
        """Return the last round of a run in the spool."""
        return self._runs.latest(run)

    def rounds(self, run: str, numbers: Collection[int]) -> Iterator[Checkpoint]:
        """Yield these rounds of a run, in order.

        Raises:
            RepositoryError: A round is damaged; there is no other copy.
        """
        with self._sound(run):
            yield from self._runs.checkpoints(run, numbers)

    def result(self, run: str) -> Result | None:
        """Return the result of a run, if it is in the spool.

        Raises:
            RepositoryError: It is damaged; there is no other copy.
        """
        with self._sound(run):
            content = self._runs.result(run)
            return None if content is None else Result.from_json(content)

    def state(self, run: str) -> State:
        """Return the state of a run in the spool.

        Raises:
            RepositoryError: Part of it is damaged; there is no other copy.
        """
        with self._sound(run):
            return State(self._runs.history(run), self._runs.result(run))

    def before(self, run: str) -> End | None:
        """Return the result that the bucket had when the first spooled round was made."""
        known = next((each for each in self._runs.runs(None) if each.id == run), None)
        return known.config.get("end") if known else None

    def drop(self, run: str) -> None:
        """Remove a run that was uploaded completely."""
        folder = f"runs/{run}"
        rounds = self.disk.files(f"{folder}/rounds")
        blobs = digests(self.disk.folders(f"{folder}/blobs"))
        self.disk.remove(
            f"{folder}/result.json",
            *(f"{folder}/rounds/{n}.json" for n in reversed(numbers(rounds))),
            *(f"{folder}/blobs/{digest}" for digest in blobs),
            f"{folder}/run.json",
        )
        place = self.folder / folder
        prune(place / "rounds", place / "blobs", place)

    def set_aside(self, run: str) -> Path:
        """Move the spooled data of a run aside, so they are not uploaded; return the new path."""
        aside = self.folder / "superseded" / f"{run}-{secrets.token_hex(4)}"
        aside.parent.mkdir(exist_ok=True)
        return (self.folder / "runs" / run).rename(aside)

    @contextmanager
    def _sound(self, run: str) -> Iterator[None]:
        try:
            yield
        except RepositoryError as error:
            folder = self.folder / "runs" / run
            raise RepositoryError(
                f"the spooled rounds of run '{run}' cannot be uploaded: {error.asked}",
                hint=f"remove {folder} to continue without them, from the last round of the bucket",
            ) from error

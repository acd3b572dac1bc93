"""Rounds that could not be uploaded: on the local disk until they can be."""

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
    """Keeps every round that it is given, durable, until the run is dropped.

    Args:
        folder: Made when first written to.

    Attributes:
        disk: The same as a store.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.disk = Disk(folder, durable=True)
        self._runs = Runs(self.disk, Blobs(self.disk, Compression.none), _ALL)

    def holds(self, run: str) -> bool:
        """Tell whether anything of a run waits here."""
        return self.disk.exists(f"runs/{run}/run.json")

    def store(self, run: str, held: Checkpoint | Result, before: End | None) -> None:
        """Store a round, or how a run ended.

        Args:
            run: Which.
            held: The round, or the end.
            before: The end that the bucket had when this process went on with the run.

        Raises:
            RepositoryError: The local disk refuses too.
        """
        if not self.holds(run):
            self._runs.begin(Run(run, "spool", "", {"end": before}, {}, ""))
        if isinstance(held, Checkpoint):
            self._runs.commit(run, held)
        else:
            self._runs.finish(run, held)

    def latest(self, run: str) -> Checkpoint | None:
        """Return the last round of a run that waits here."""
        return self._runs.latest(run)

    def rounds(self, run: str, numbers: Collection[int]) -> Iterator[Checkpoint]:
        """Yield these rounds of a run, in order.

        Raises:
            RepositoryError: One is damaged; nobody else has it.
        """
        with self._sound(run):
            yield from self._runs.checkpoints(run, numbers)

    def result(self, run: str) -> Result | None:
        """Return how a run ended, if that waits here.

        Raises:
            RepositoryError: It is damaged; nobody else has it.
        """
        with self._sound(run):
            content = self._runs.result(run)
            return None if content is None else Result.from_json(content)

    def state(self, run: str) -> State:
        """Return what waits of a run.

        Raises:
            RepositoryError: Some of it is damaged; nobody else has it.
        """
        with self._sound(run):
            return State(self._runs.history(run), self._runs.result(run))

    def before(self, run: str) -> End | None:
        """Return the end that the bucket had when the first of what waits was made."""
        known = next((each for each in self._runs.runs(None) if each.id == run), None)
        return known.config.get("end") if known else None

    def drop(self, run: str) -> None:
        """Forget a run, everything of which has been uploaded."""
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
        """Move what waits of a run to where it is not looked for; return where that is."""
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
                f"what waits to be uploaded of run '{run}' cannot be: {error.asked}",
                hint=f"remove {folder} to go on without it, from the last round of the bucket",
            ) from error

"""Rounds that could not be uploaded: on the local disk until they can be."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aeros_core.errors import RepositoryError
from aeros_core.outcomes import Result
from aeros_core.records import Checkpoint, Run
from aeros_zarr import Compression
from aeros_zarr.blobs import Blobs
from aeros_zarr.disk import Disk
from aeros_zarr.runs import Runs

__all__ = ["Spool"]

_ALL = 2**62


class Spool:
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

    def keep(self, run: str, held: Checkpoint | Result) -> None:
        """Store a round, or how a run ended.

        Raises:
            RepositoryError: The local disk refuses too.
        """
        self._runs.begin(Run(run, "spool", "", {}, {}, ""))
        if isinstance(held, Checkpoint):
            self._runs.commit(run, held)
        else:
            self._runs.finish(run, held)

    def latest(self, run: str) -> Checkpoint | None:
        """Return the last round of a run that waits here."""
        return self._runs.latest(run)

    def rounds(self, run: str) -> Iterator[Checkpoint]:
        """Yield the rounds of a run that wait here, in order.

        Raises:
            RepositoryError: One is damaged; nobody else has it.
        """
        with self._sound(run):
            yield from self._runs.checkpoints(run)

    def result(self, run: str) -> Result | None:
        """Return how a run ended, if that waits here.

        Raises:
            RepositoryError: It is damaged; nobody else has it.
        """
        with self._sound(run):
            content = self._runs.result(run)
            return None if content is None else Result.from_json(content)

    def drop(self, run: str) -> None:
        """Forget a run, everything of which has been uploaded."""
        self.disk.remove(f"runs/{run}")

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

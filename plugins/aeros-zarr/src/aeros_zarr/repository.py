"""The repository on a local folder: runs, rounds and models, versioned and verified."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aeros_core.errors import ConfigError
from aeros_core.records import Checkpoint, Model, ModelInfo, Run
from aeros_core.task import Result, Round
from aeros_zarr import Compression, manifest
from aeros_zarr.blobs import Blobs
from aeros_zarr.disk import Disk
from aeros_zarr.faults import explained
from aeros_zarr.models import Models
from aeros_zarr.runs import Runs

__all__ = ["ZarrRepository"]


class ZarrRepository:
    """Keeps runs, rounds and models in a folder; see `roles.Repository`.

    Nothing is written before `begin` or `publish`, so a folder that can only be read
    serves for reading.

    Args:
        path: The folder.
        compression: How arrays are compressed.
        durable: Whether to wait for stable storage.
        keep: Rounds of a run, from the last one back, whose parameters are kept.

    Raises:
        ConfigError: There is a file at ``path``, or ``keep`` is below 1.
        RepositoryError: The folder was written by a newer version.
    """

    def __init__(self, *, path: str, compression: Compression, durable: bool, keep: int) -> None:
        if keep < 1:
            raise ConfigError(
                f"repository.keep={keep} is not possible", exists="at least 1",
                hint="repository.keep=1 keeps the last round alone",
            )  # fmt: skip
        self.path = _folder(path)
        self._disk = Disk(self.path, durable=durable)
        self._blobs = Blobs(self._disk, compression)
        self._runs = Runs(self._disk, self._blobs, keep)
        self._models = Models(self._disk, self._blobs)
        self._marked = self._is_marked()

    def begin(self, run: Run) -> None:
        """Record that a run starts; the same run once more changes nothing.

        Raises:
            ConfigError: The run's id or its task's name cannot name a file.
            RepositoryError: Another run has this id, or the disk refuses.
        """
        self._mark()
        self._runs.begin(run)

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
                arrays and scalars, or the disk refuses: it says what stays readable.
        """
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

        Raises:
            RepositoryError: The run never began, or the disk refuses.
        """
        self._runs.finish(run, result)

    def result(self, run: str) -> Mapping[str, Any] | None:
        """Return `Result.to_json` of how a run ended; None if it has not.

        Raises:
            RepositoryError: The run never began, or the record is damaged.
        """
        return self._runs.result(run)

    def publish(self, model: Model) -> ModelInfo:
        """Store a model as the next version of its name, and tag it ``latest``.

        Of two that publish at once, one takes the next number and the other the one after.

        Raises:
            ConfigError: The model's name cannot name a file.
            RepositoryError: The disk refuses, or a fitted state cannot be stored.
        """
        self._mark()
        return self._models.publish(model)

    def models(self, name: str | None = None) -> Sequence[ModelInfo]:
        """Return every version of a model, or of all, by name and version.

        One whose record is damaged is left out, and a warning logged.
        """
        return self._models.models(name)

    def model(self, name: str, version: int | str = "latest") -> Model:
        """Return a model by its version or a tag, every byte verified.

        Raises:
            ConfigError: What is asked for cannot be a name or a tag.
            RepositoryError: There is no such model, version or tag, or a file is damaged.
        """
        return self._models.model(name, version)

    def tag(self, name: str, tag: str, version: int | str = "latest") -> None:
        """Let a tag point to a version of a model, whatever it pointed to before.

        Raises:
            ConfigError: The tag cannot name a file.
            RepositoryError: There is no such model or version; the tag is ``latest``,
                which is always the highest version, or a number; or the disk refuses.
        """
        self._models.tag(name, tag, version)

    def _is_marked(self) -> bool:
        with explained("the repository could not be opened", self.path):
            return manifest.read(self._disk, "repository", "format.json") is not None

    def _mark(self) -> None:
        if self._marked:
            return
        with explained("the repository could not be made", self.path):
            self._disk.replace("format.json", manifest.dump("repository", {}))
        self._marked = True


def _folder(path: str) -> Path:
    if not path:
        raise ConfigError("repository.path is empty", hint="repository.path=aeros-repository")
    folder = Path(path).expanduser().absolute()
    with explained("the repository could not be opened", folder):
        files = [p for p in (folder, *folder.parents) if p.exists() and not p.is_dir()]
    if files:
        raise ConfigError(
            f"repository.path={path} cannot be a folder: {files[0]} is a file",
            hint="repository.path=<a folder, or one that can be made>",
        )
    return folder

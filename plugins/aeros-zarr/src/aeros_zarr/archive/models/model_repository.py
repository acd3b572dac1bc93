"""The model methods of the repository: `Repository` and its optional capabilities."""

from __future__ import annotations

from collections.abc import Sequence

from aeros_core.parameters import Parameters
from aeros_core.records import Model, ModelInfo
from aeros_zarr.archive.models.stored_models import Models
from aeros_zarr.archive.runs.run_locks import RunLocks
from aeros_zarr.format.marker import FormatMarker

__all__ = ["ModelArchive"]


class ModelArchive:
    """The models of a store; see `repository.Repository`.

    Args:
        models: The models of the store.
        marker: The marker of the store.
        locks: The run locks held by this process.
    """

    def __init__(self, models: Models, marker: FormatMarker, locks: RunLocks) -> None:
        self._models, self._marker, self._locks = models, marker, locks

    def publish(self, model: Model, version: int | None = None) -> ModelInfo:
        """Store a model as the next version of its name, and tag it ``latest``.

        Of two concurrent calls, one gets the next number and the other the one after. If both
        request the same number, the second fails, and the next garbage collection removes its
        blobs.

        Args:
            model: The model.
            version: The required version number; None for the next one.

        Raises:
            ConfigError: The model's name is not a valid file name.
            RepositoryError: The required version is not the next one, the store cannot be
                written, or a fitted state cannot be stored.
        """
        self._marker.set()
        self._locks.check(model.run)
        return self._models.publish(model, version)

    def models(self, name: str | None = None) -> Sequence[ModelInfo]:
        """Return all versions of a model, or of all models, sorted by name and version.

        A version whose record is damaged is skipped, and a warning logged.
        """
        return self._models.models(name)

    def page(
        self, name: str | None = None, *, offset: int = 0, limit: int = 100, newest: bool = False
    ) -> tuple[Sequence[ModelInfo], int]:
        """Return a page of versions, sorted by name and version, and their total number.

        A version whose record is damaged is skipped, and a warning logged.

        Args:
            name: Name of a model; None for all.
            offset: Number of versions to skip.
            limit: Maximum number of versions to return.
            newest: Sort the versions of each model from the newest to the oldest.
        """
        return self._models.page(name, offset, limit, newest=newest)

    def model(self, name: str, version: int | str = "latest") -> Model:
        """Return a model by its version or a tag, verified if the repository is set to.

        Raises:
            ConfigError: The name or tag is invalid.
            RepositoryError: The model, version or tag does not exist, or a file is damaged.
        """
        return self._models.model(name, version)

    def part(
        self, name: str, version: int | str = "latest", *, tensors: Sequence[str]
    ) -> Parameters:
        """Return the tensors of a model that match these patterns (``*``, ``?``).

        Only the chunks that hold these tensors are read, and verified if the repository is set
        to.

        Raises:
            ConfigError: A pattern matches no tensor, or the name or tag is invalid.
            RepositoryError: The model, version or tag does not exist, or a file is damaged.
        """
        return self._models.part(name, version, tensors)

    def tag(self, name: str, tag: str, version: int | str = "latest") -> None:
        """Set or move a tag to a version of a model.

        Raises:
            ConfigError: The tag is not a valid file name.
            RepositoryError: The model or version does not exist; the tag is ``latest``, which
                is always the highest version, or a number; or the store cannot be written.
        """
        self._marker.check()
        self._models.tag(name, tag, version)

    def remove(self, name: str, versions: Sequence[int]) -> Sequence[int]:
        """Remove versions of a model; return those that were removed.

        Tagged versions are kept, and the newest one, so that no number is used twice.

        Raises:
            ConfigError: The name is invalid.
            RepositoryError: A tag is damaged, so its version is unknown; or the store cannot be
                written.
        """
        self._marker.check()
        return self._models.remove(name, versions)

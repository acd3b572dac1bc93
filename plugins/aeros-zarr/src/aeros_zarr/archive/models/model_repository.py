"""Models in any `Store`: the methods of `repository.Repository` and its powers for them."""

from __future__ import annotations

from collections.abc import Sequence

from aeros_core.parameters import Parameters
from aeros_core.records import Model, ModelInfo
from aeros_zarr.archive.models.stored_models import Models
from aeros_zarr.archive.runs.run_locks import RunLocks
from aeros_zarr.format.marker import FormatMarker

__all__ = ["ModelArchive"]


class ModelArchive:
    """Keeps models in a store; see `repository.Repository`.

    Args:
        models: Its models.
        marker: Its marker.
        locks: Says who holds the run that a model is of.
    """

    def __init__(self, models: Models, marker: FormatMarker, locks: RunLocks) -> None:
        self._models, self._marker, self._locks = models, marker, locks

    def publish(self, model: Model, version: int | None = None) -> ModelInfo:
        """Store a model as the next version of its name, and tag it ``latest``.

        Of two that publish at once, one takes the next number and the other the one after;
        or, if both have named it, an error, and what it has written goes with the next gc.

        Args:
            model: What is stored.
            version: The number that it has to get; None for the next one, whatever it is.

        Raises:
            ConfigError: The model's name cannot name a file.
            RepositoryError: The version that was named is not the next one; the disk refuses;
                or a fitted state cannot be stored.
        """
        self._marker.set()
        self._locks.check(model.run)
        return self._models.publish(model, version)

    def models(self, name: str | None = None) -> Sequence[ModelInfo]:
        """Return every version of a model, or of all, by name and version.

        One whose record is damaged is left out, and a warning logged.
        """
        return self._models.models(name)

    def page(
        self, name: str | None = None, *, offset: int = 0, limit: int = 100, newest: bool = False
    ) -> tuple[Sequence[ModelInfo], int]:
        """Return some versions of a model, or of all, by name and version; and how many there are.

        One whose record is damaged is left out, and a warning logged.

        Args:
            name: Name of a model; None for all.
            offset: How many are passed over.
            limit: How many are returned, at most.
            newest: The newest version of each first.
        """
        return self._models.page(name, offset, limit, newest=newest)

    def model(self, name: str, version: int | str = "latest") -> Model:
        """Return a model by its version or a tag, verified unless the store is not to.

        Raises:
            ConfigError: What is asked for cannot be a name or a tag.
            RepositoryError: There is no such model, version or tag, or a file is damaged.
        """
        return self._models.model(name, version)

    def part(
        self, name: str, version: int | str = "latest", *, tensors: Sequence[str]
    ) -> Parameters:
        """Return the tensors of a model that match these patterns (``*``, ``?``).

        Of its files only the chunks that hold them are read, and verified unless the store is
        not to.

        Raises:
            ConfigError: A pattern matches no tensor; or what is asked for cannot be a name.
            RepositoryError: There is no such model, version or tag, or a file is damaged.
        """
        return self._models.part(name, version, tensors)

    def tag(self, name: str, tag: str, version: int | str = "latest") -> None:
        """Let a tag point to a version of a model, whatever it pointed to before.

        Raises:
            ConfigError: The tag cannot name a file.
            RepositoryError: There is no such model or version; the tag is ``latest``,
                which is always the highest version, or a number; or the store refuses.
        """
        self._marker.check()
        self._models.tag(name, tag, version)

    def remove(self, name: str, versions: Sequence[int]) -> Sequence[int]:
        """Take versions of a model away; return those that are gone.

        One that a tag points to stays, and the newest, so that no number is given twice.

        Raises:
            ConfigError: The name cannot be one.
            RepositoryError: A tag is damaged, so that nobody knows what it points to; or
                the store refuses.
        """
        self._marker.check()
        return self._models.remove(name, versions)

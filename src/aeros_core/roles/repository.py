"""Keep runs, rounds and models; what only some repositories can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from aeros_core.parameters import Parameters
from aeros_core.records import Algorithm, Checkpoint, Model, ModelInfo, Run
from aeros_core.results import Result, Round

__all__ = [
    "ModelSource",
    "Repository",
    "SupportsAlgorithms",
    "SupportsCollection",
    "SupportsHealing",
    "SupportsPages",
    "SupportsParts",
    "SupportsRemoval",
    "SupportsRunLocks",
    "SupportsTags",
    "SupportsVerify",
]


class ModelSource(Protocol):
    """Delivers models, as every repository does."""

    def model(self, name: str, version: int | str = "latest") -> Model:
        """Return a model by its version or a tag, verified against its digest."""


@runtime_checkable
class Repository(Protocol):
    """Keeps runs, rounds and models: versioned, verified, atomic.

    Whatever a method has returned from is on stable storage; a process killed within a
    method leaves the old state or the new one, never a mixture. Every method may raise
    RepositoryError.
    """

    def begin(self, run: Run) -> None:
        """Record that a run starts."""

    def runs(self, task: str | None = None) -> Sequence[Run]:
        """Return the runs of a task, or all, oldest first."""

    def commit(self, run: str, checkpoint: Checkpoint) -> None:
        """Store one round of a run."""

    def latest(self, run: str) -> Checkpoint | None:
        """Return the last committed round of a run; None if there is none."""

    def history(self, run: str) -> Sequence[Round]:
        """Return what every committed round of a run did, in order."""

    def finish(self, run: str, result: Result) -> None:
        """Store how a run ended; a later end of the same run replaces it."""

    def result(self, run: str) -> Mapping[str, Any] | None:
        """Return `Result.to_json` of how a run ended; None if it has not."""

    def publish(self, model: Model, version: int | None = None) -> ModelInfo:
        """Store a model as the next version of its name, and tag it ``latest``.

        Of several who publish at once each gets a number of its own; of several who name
        the same, one.

        Args:
            model: What is stored.
            version: The number that it has to get; None for the next one, whatever it is.

        Raises:
            RepositoryError: The next number is not ``version``, because another version was
                published meanwhile. Nothing is stored.
        """

    def models(self, name: str | None = None) -> Sequence[ModelInfo]:
        """Return every version of a model, or of all, by name and version."""

    def model(self, name: str, version: int | str = "latest") -> Model:
        """Return a model by its version or a tag, verified against its digest."""


@runtime_checkable
class SupportsTags(Protocol):
    """A repository whose versions can be given names beside ``latest``."""

    def tag(self, name: str, tag: str, version: int | str = "latest") -> None:
        """Let ``tag`` point to a version of a model, whatever it pointed to before."""


@runtime_checkable
class SupportsParts(Protocol):
    """A repository that delivers some tensors of a model without reading the others."""

    def part(
        self, name: str, version: int | str = "latest", *, tensors: Sequence[str]
    ) -> Parameters:
        """Return the tensors that match these patterns (``*``, ``?``), in layout order, verified.

        Raises:
            ConfigError: A pattern matches no tensor.
        """


@runtime_checkable
class SupportsPages(Protocol):
    """A repository that lists many versions page by page."""

    def page(
        self, name: str | None = None, *, offset: int = 0, limit: int = 100, newest: bool = False
    ) -> tuple[Sequence[ModelInfo], int]:
        """Return some versions of a model, or of all, by name and version, and their number.

        Args:
            name: Name of a model; None for all.
            offset: How many are passed over.
            limit: How many are returned, at most.
            newest: The newest version of each first.
        """


@runtime_checkable
class SupportsVerify(Protocol):
    """A repository that can check what it holds without delivering it."""

    def verify(
        self, name: str | None = None, version: int | str | None = None
    ) -> Mapping[str, str]:
        """Read and hash a version, a whole model, or everything that is stored.

        Returns:
            Every file that was read, and what is wrong with it: ``""`` if nothing is.
        """


@runtime_checkable
class SupportsHealing(Protocol):
    """A repository that can write what is damaged again from other copies."""

    def heal(
        self, name: str | None, version: int | str | None, others: Sequence[Repository]
    ) -> Mapping[str, str]:
        """Heal a version, a whole model, or everything; return ``{file: where from}``.

        Args:
            name: A model; None for everything.
            version: One version of it; None for all.
            others: Repositories that are copies of this one.
        """


@runtime_checkable
class SupportsCollection(Protocol):
    """A repository that can remove what nothing names, while others write."""

    def collect(self, seconds: float) -> Mapping[str, int]:
        """Remove what nothing names and is older than this; return ``{removed: bytes}``."""


@runtime_checkable
class SupportsRemoval(Protocol):
    """A repository from which versions of models can be taken away."""

    def remove(self, name: str, versions: Sequence[int]) -> Sequence[int]:
        """Take versions away, but none that a tag points to; return those that are gone.

        Their numbers are not given again. What they alone named goes with the next
        `SupportsCollection.collect`.
        """


@runtime_checkable
class SupportsAlgorithms(Protocol):
    """A repository that keeps algorithms: wheels, with who vouches for them.

    It need not be trusted: whoever installs one checks signature and hash.
    """

    def store_algorithm(self, algorithm: Algorithm, wheel: bytes) -> None:
        """Store a version; the same once more changes nothing.

        Raises:
            RepositoryError: This version is there with another content or signature.
        """

    def algorithms(self, name: str | None = None) -> Sequence[Algorithm]:
        """Return every version of an algorithm, or of all, by name and version."""

    def algorithm(self, name: str, version: str) -> tuple[Algorithm, bytes]:
        """Return a version and its wheel."""


@runtime_checkable
class SupportsRunLocks(Protocol):
    """A repository that lets one process at a time go on with a run.

    The lock ends with the process that holds it, however that ends: others then take it over.
    A holder that was paused for so long that another one took over finds out with its next
    ``commit``, ``finish`` or ``publish`` of the run: that raises RepositoryError, and stores
    nothing.
    """

    def acquire(self, run: str) -> None:
        """Hold a run until `release`.

        Raises:
            ConfigError: Another process holds it; the message has its host and process number,
                and since when.
        """

    def release(self, run: str) -> None:
        """Let others hold a run; one that is not held is no fault."""

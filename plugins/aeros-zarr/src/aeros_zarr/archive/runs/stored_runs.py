"""Runs in a store: their configuration, rounds, recent checkpoints and result.

    runs/<id>/run.json            the run with its configuration
    runs/<id>/rounds/<n>.json     report of a round; the blobs of its checkpoint
    runs/<id>/blobs/<digest>/     parameters and state of the last rounds
    runs/<id>/result.json         the result

A round is committed once its manifest exists, which is written last. The manifest also lists the
rounds whose blobs are ``kept`` from then on; blobs of other rounds are removed afterwards. The
blobs of a run are its own, so no other record can name those that are removed.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import suppress
from functools import partial

from aeros_core.errors import RepositoryError
from aeros_core.records import Checkpoint, Run
from aeros_core.results import Result, Round
from aeros_zarr.archive.records import (
    Content,
    checkpoint_of,
    content_of_checkpoint,
    content_of_run,
    digests,
    run_of,
)
from aeros_zarr.archive.runs.kept_rounds import KeptRounds
from aeros_zarr.blobs.blobs import Blobs
from aeros_zarr.blobs.garbage_collection import collect
from aeros_zarr.format import manifest
from aeros_zarr.format.manifest import read
from aeros_zarr.stores.errors import repository_errors
from aeros_zarr.stores.layout import named, numbers
from aeros_zarr.stores.names import check, check_new, spelled
from aeros_zarr.stores.store import Store

__all__ = ["Runs"]

_log = logging.getLogger(__name__)


class Runs:
    """The runs of a repository; the methods are those of `repository.Repository`.

    Args:
        store: The store that holds them.
        blobs: The blobs of that store.
        keep: Number of rounds whose checkpoints are kept.
    """

    def __init__(self, store: Store, blobs: Blobs, keep: int) -> None:
        self._store = store
        self._blobs = blobs
        self._keep = keep
        self._held: dict[str, KeptRounds] = {}

    def begin(self, run: Run) -> None:
        """Record that a run starts; the same run once more changes nothing."""
        key = f"runs/{run.id}/run.json"
        data = manifest.dump("run", content_of_run(run), key)
        with repository_errors(f"run '{run.id}' could not be begun", self._store):
            check_new("task", run.task, named(self._store.folders("models")))
            check_new("run", run.id, self._names())
            self._store.sweep()
            new = self._store.create(key, data)
            if not new and self._store.read(key) != data:
                raise RepositoryError(
                    f"run '{run.id}' cannot begin: there is another run of this name",
                    exists=spelled("run", self._names()),
                    hint="start it under another id",
                )

    def runs(self, task: str | None) -> list[Run]:
        """Return runs, oldest first; those with damaged manifests are logged and skipped."""
        with repository_errors("the runs could not be read", self._store):
            found = [run for name in self._names() for run in self._run(name)]
        of_task = [run for run in found if task in (None, run.task)]
        return sorted(of_task, key=lambda run: (run.created, run.id))

    def commit(self, run: str, checkpoint: Checkpoint) -> None:
        """Store a round; existing rounds of this number and later ones are removed."""
        self._known(run)
        number = checkpoint.round.number
        with repository_errors(
            f"round {number} of run '{run}' could not be stored",
            self._store,
            needs=_nbytes(checkpoint),
            kept=lambda: self._committed(run),
        ):
            held = self._before(run, number)
            folder = f"runs/{run}/blobs"
            content = content_of_checkpoint(checkpoint, self._blobs, folder, held.bases(number))
            kept = [*(n for n in held.kept if n < number), number][-self._keep :]
            self._store.remove(*(_round(run, n) for n in reversed(held.blobs) if n > number))
            self._name(run, number, {**content, "kept": kept})
            while self._blobs.lacks(folder, digests(content)):  # collected meanwhile
                content = content_of_checkpoint(checkpoint, self._blobs, folder, {})
                self._name(run, number, {**content, "kept": kept})
            self._held[run] = held.after(number, content, kept)
            self._blobs.remove(folder, held.all - self._held[run].all)

    def latest(self, run: str) -> Checkpoint | None:
        """Return the last undamaged round; None if no round was committed.

        Raises:
            RepositoryError: There are rounds, but all of them are damaged.
        """
        self._known(run)
        with repository_errors(f"the last round of run '{run}' could not be read", self._store):
            while True:
                numbers = self._numbers(run)
                try:
                    return self._last_whole(run, numbers)
                except RepositoryError:
                    if self._numbers(run) == numbers:
                        raise  # otherwise a concurrent commit removed a file: retry

    def history(self, run: str) -> list[Round]:
        """Return the reports of all rounds, in order.

        Raises:
            RepositoryError: A manifest is damaged.
        """
        self._known(run)
        with repository_errors(f"the rounds of run '{run}' could not be read", self._store):
            contents = [self._content(run, number) for number in self._numbers(run)]
        return [Round.from_json(content["round"]) for content in contents]

    def checkpoints(self, run: str, numbers: Collection[int]) -> Iterator[Checkpoint]:
        """Yield the checkpoints of these rounds in order; all must be kept."""
        for number in sorted(numbers):
            yield self._checkpoint(run, number, self._content(run, number))

    def finish(self, run: str, result: Result) -> None:
        """Store the result of a run."""
        self._known(run)
        key = f"runs/{run}/result.json"
        data = manifest.dump("result", result.to_json(), key)
        with repository_errors(
            f"the result of run '{run}' could not be stored",
            self._store,
            needs=len(data),
            kept=lambda: self._committed(run),
        ):
            self._store.replace(key, data)

    def result(self, run: str) -> Content | None:
        """Return the result of a run; None if it has not finished."""
        self._known(run)
        with repository_errors(f"the result of run '{run}' could not be read", self._store):
            content = read(self._store, "result", f"runs/{run}/result.json")
        return content and {key: value for key, value in content.items() if key != "run"}

    def audit(self) -> dict[str, str]:
        """Read and hash all runs; return the defect of every file, ``""`` if it is sound."""
        with repository_errors("the runs could not be read", self._store):
            audits = [self._audit(run) for run in self._names()]
        return {file: what for found in audits for file, what in found.items()}

    def _audit(self, run: str) -> dict[str, str]:
        keys = [_round(run, number) for number in self._numbers(run)]
        files = self._store.files(f"runs/{run}")
        if not keys and "run.json" not in files and "result.json" not in files:
            return {}  # a folder of another program
        found, contents = manifest.audit(self._store, "round", keys)
        found |= manifest.audit(self._store, "run", [f"runs/{run}/run.json"])[0]
        if "result.json" in files:
            found |= manifest.audit(self._store, "result", [f"runs/{run}/result.json"])[0]
        readable = [key for key in keys if key in contents]
        kept = [_round(run, n) for n in contents[readable[-1]]["kept"]] if readable else []
        named = {digest for key in kept if key in contents for digest in digests(contents[key])}
        if readable[-1:] != keys[-1:]:  # the damaged last record listed the kept rounds
            named &= set(self._store.folders(f"runs/{run}/blobs"))
        return found | self._blobs.audit(f"runs/{run}/blobs", named)

    def collect(self, seconds: float) -> dict[str, int]:
        """Remove blobs older than ``seconds`` that no round names; return ``{location: bytes}``."""
        removed: dict[str, int] = {}
        for run in self._names():
            named = partial(self._named, run)
            removed |= collect(self._store, f"runs/{run}/blobs", named, seconds)
        return removed

    def _name(self, run: str, number: int, content: Content) -> None:
        key = _round(run, number)
        self._store.replace(key, manifest.dump("round", content, key))

    def _named(self, run: str) -> set[str]:
        contents = [self._content(run, number) for number in self._numbers(run)]
        return {digest for content in contents for digest in digests(content)}

    def _last_whole(self, run: str, numbers: list[int]) -> Checkpoint | None:
        first: RepositoryError | None = None
        kept: list[int] | None = None
        for number in reversed(numbers):
            if kept is not None and number not in kept:
                break
            try:
                content = self._content(run, number)
                kept = kept or content["kept"]
                return self._checkpoint(run, number, content)
            except RepositoryError as error:
                _log.warning("round %d of run '%s' is passed over: %s", number, run, error.asked)
                first = first or error
        if first:
            raise first
        return None

    def _names(self) -> list[str]:
        """Return the folders whose names are valid run IDs."""
        return named(self._store.folders("runs"))

    def _run(self, name: str) -> list[Run]:
        try:
            key = f"runs/{name}/run.json"
            content = read(self._store, "run", key)
            with manifest.reading(self._store.location(key)):
                return [run_of(content)] if content else []
        except RepositoryError as error:
            _log.warning("run '%s' is left out: %s", name, error.asked)
            return []

    def _known(self, run: str) -> None:
        with repository_errors(f"run '{run}' could not be read", self._store):
            known = self._store.exists(f"runs/{check('run', run)}/run.json")
        if not known:
            raise RepositoryError(
                f"run '{run}' does not exist", exists=spelled("run", self._names())
            )

    def _committed(self, run: str) -> str:
        numbers = self._numbers(run)
        if not numbers:
            return "no round was committed before"
        return f"{spelled('round', numbers)} of the run can still be read"

    def _numbers(self, run: str) -> list[int]:
        return numbers(self._store.files(f"runs/{run}/rounds"))

    def _content(self, run: str, number: int) -> Content:
        key = _round(run, number)
        content = read(self._store, "round", key)
        if content is None:
            raise manifest.damaged(self._store.location(key), "it is missing")
        if content["round"]["round"] != number:
            raise manifest.damaged(self._store.location(key), "it is the record of another round")
        return content

    def _checkpoint(self, run: str, number: int, content: Content) -> Checkpoint:
        with manifest.reading(self._store.location(_round(run, number))):
            return checkpoint_of(content, self._blobs, f"runs/{run}/blobs")

    def _before(self, run: str, number: int) -> KeptRounds:
        """Return the kept rounds before a commit, from memory if this object made the last one."""
        held = self._held.pop(run, None)
        if held and held.kept[-1] == number - 1 and not self._store.exists(_round(run, number)):
            return held
        contents: dict[int, Content] = {}
        for n in self._numbers(run):
            with suppress(RepositoryError):
                contents[n] = self._content(run, n)
        return KeptRounds.of(contents)


def _round(run: str, number: int) -> str:
    return f"runs/{run}/rounds/{number}.json"


def _nbytes(checkpoint: Checkpoint) -> int:
    values = [value for state in checkpoint.state.values() for value in state.values()]
    return checkpoint.parameters.nbytes + sum(int(getattr(v, "nbytes", 0)) for v in values)

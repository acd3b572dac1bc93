"""The repository in a bucket of any S3 endpoint: ``repository=s3``."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aeros_core.errors import ConfigError, RepositoryError
from aeros_core.records import Checkpoint
from aeros_core.results import Result, Round
from aeros_zarr import Compression
from aeros_zarr.archive.repository import StoreRepository
from aeros_zarr.archive.retention import rules
from aeros_zarr.archive.runs.pending_uploads import State, is_superseded, missing
from aeros_zarr.archive.runs.upload_spool import UploadSpool
from aeros_zarr.stores.errors import typed
from aeros_zarr.stores.s3.bucket import Bucket
from aeros_zarr.stores.s3.cache import Cache
from aeros_zarr.stores.s3.client import address, connect
from aeros_zarr.stores.s3.irregular_keys import ListedObjects

__all__ = ["S3Repository"]

_log = logging.getLogger(__name__)


class S3Repository(StoreRepository):
    """A repository in a bucket; see `StoreRepository`.

    If a round or a result cannot be uploaded, it is stored in a local spool folder and a
    warning is logged. The next process that resumes the run uploads it first, in order, unless
    the bucket has newer data by then. Readers upload nothing.

    Args:
        endpoint: URL of the endpoint; empty for AWS.
        bucket: Name of an existing bucket.
        prefix: Key prefix of the repository.
        region: Region used to sign requests.
        path_style: Address objects as ``endpoint/bucket/key``, not ``bucket.endpoint/key``.
        retries: Number of times a request is repeated, with growing pauses.
        timeout: Seconds for one request.
        spool: Local folder for rounds that are not uploaded yet.
        cache: Local folder for downloaded blobs; empty for no cache.
        cache_gb: Maximum size of the cache in gigabytes (10^9 bytes).
        compression: Compression of stored arrays.
        keep: Number of most recent rounds of a run whose parameters are kept.
        keep_last: Number of newest versions of a model kept after a run finishes.
        keep_best: Number of versions with the best ``keep_metric`` kept as well; with 0 for
            both, all versions are kept.
        keep_metric: Name of the metric that ranks versions.
        verify: Hash the parameters of a model when they are read, also from the cache.

    Raises:
        ConfigError: An option is invalid, or the environment holds no credentials.
        RepositoryError: The bucket cannot be reached, does not exist, or was written by a
            newer version.
    """

    def __init__(
        self, *, endpoint: str, bucket: str, prefix: str, region: str, path_style: bool,
        retries: int, timeout: float, spool: str, cache: str, cache_gb: float,
        compression: Compression, keep: int, keep_last: int, keep_best: int, keep_metric: str,
        verify: bool,
    ) -> None:  # fmt: skip
        if not spool:
            raise ConfigError("repository.spool is empty", hint="repository.spool=aeros-spool")
        if not cache_gb > 0:
            raise ConfigError(
                f"repository.cache_gb must be above 0, got {cache_gb}",
                hint="repository.cache= for no cache",
            )  # fmt: skip
        s3 = connect(
            endpoint=endpoint, bucket=bucket, prefix=prefix, region=region,
            path_style=path_style, retries=retries, timeout=timeout,
        )  # fmt: skip
        listed = ListedObjects(
            address(endpoint, bucket, region, path_style=path_style), prefix.strip("/"), region,
            retries, timeout,
        )  # fmt: skip
        place = f"s3://{bucket}/{prefix.strip('/')}"
        own = hashlib.sha256(f"{endpoint.rstrip('/')} {place}".encode()).hexdigest()[:16]
        self._spool = UploadSpool(Path(spool).expanduser().absolute() / own)
        self._ends: dict[str, Mapping[str, Any] | None] = {}
        self._warned: set[str] = set()
        held = Cache(Path(cache).expanduser().absolute(), int(cache_gb * 1e9)) if cache else None
        super().__init__(
            Bucket(s3, place, retries, held, listed), compression=compression, keep=keep,
            others=[self._spool.disk], rules=rules(keep_last, keep_best, keep_metric),
            verify=verify, elsewhere=lambda folder: typed(
                "repository.prefix", f"{prefix.strip('/')}/{folder}".strip("/")
            ),
        )  # fmt: skip

    def acquire(self, run: str) -> None:
        """Lock a run until `release`, and upload what the spool holds of it.

        Raises:
            ConfigError: Another process holds the run.
            RepositoryError: The bucket cannot be reached.
        """
        super().acquire(run)
        try:
            self._upload(run)
            self._ends[run] = super().result(run)
        except BaseException:
            self.release(run)
            raise

    def commit(self, run: str, checkpoint: Checkpoint) -> None:
        """Store one round of a run in the bucket, or in the spool if that fails.

        Raises:
            RepositoryError: The run does not exist, another process has taken it over, a state
                holds something other than arrays and scalars, or neither the bucket nor the
                local disk can be written.
        """
        try:
            self._upload(run)
            super().commit(run, checkpoint)
        except RepositoryError as error:
            self._keep(run, checkpoint, f"round {checkpoint.round.number}", error)

    def latest(self, run: str) -> Checkpoint | None:
        """Return the last round of a run in the bucket; see `StoreRepository.latest`.

        Raises:
            RepositoryError: The run does not exist, all kept rounds are damaged, or the
                bucket cannot be reached.
        """
        self._warn_of_spool(run)
        return super().latest(run)

    def history(self, run: str) -> Sequence[Round]:
        """Return the reports of all committed rounds of a run, in order.

        Raises:
            RepositoryError: The run does not exist, the record of a round is damaged, or the
                bucket cannot be reached.
        """
        self._warn_of_spool(run)
        return super().history(run)

    def finish(self, run: str, result: Result) -> None:
        """Store the result of a run in the bucket, or in the spool if that fails.

        Raises:
            RepositoryError: The run does not exist, another process has taken it over, or
                neither the bucket nor the local disk can be written.
        """
        try:
            self._upload(run)
            super().finish(run, result)
        except RepositoryError as error:
            self._keep(run, result, "the end", error)

    def result(self, run: str) -> Mapping[str, Any] | None:
        """Return `Result.to_json` of a run, as stored in the bucket; None if unfinished.

        Raises:
            RepositoryError: The run does not exist, the record is damaged, or the bucket
                cannot be reached.
        """
        self._warn_of_spool(run)
        return super().result(run)

    def _upload(self, run: str) -> None:
        """Upload what the spool holds of a run, unless the bucket has newer data."""
        if not self._spool.holds(run):
            return
        self._locks.check(run)
        waiting, there = self._spool.state(run), self._there(run)
        if is_superseded(waiting, there, self._spool.before(run)):
            aside = self._spool.set_aside(run)
            _log.warning("%s; rm -r %s gives it up", self._newer(run, waiting, there), aside)
            return
        for checkpoint in self._spool.rounds(run, missing(waiting, there)):
            super().commit(run, checkpoint)
        result = self._spool.result(run)
        if result is not None:
            super().finish(run, result)
        self._spool.drop(run)
        where = self._store.location()
        _log.warning("what was spooled of run '%s' is in %s now: %s", run, where, waiting)

    def _warn_of_spool(self, run: str) -> None:
        """Warn once per run that the spool holds data; readers upload nothing."""
        if run in self._warned or not self._spool.holds(run):
            return
        self._warned.add(run)
        folder = self._spool.folder / "runs" / run
        try:
            waiting, there = self._spool.state(run), self._there(run)
        except RepositoryError as error:
            _log.warning("%s\n  next: %s", error.asked, error.hint)
            return
        if is_superseded(waiting, there, self._spool.before(run)):
            _log.warning("%s; rm -r %s gives it up", self._newer(run, waiting, there), folder)
            return
        _log.warning(
            "%s of run '%s' wait in %s, and %s has %s: the command of the run with"
            " task.resume=true uploads them",
            waiting, run, folder, self._store.location(), there,
        )  # fmt: skip

    def _newer(self, run: str, waiting: State, there: State) -> str:
        return (
            f"{waiting} of run '{run}', which waited in {self._spool.folder}, will not be uploaded:"
            f" {self._store.location()} has {there}, which is newer"
        )

    def _there(self, run: str) -> State:
        return State(super().history(run), super().result(run))

    def _keep(self, run: str, held: Checkpoint | Result, what: str, error: RepositoryError) -> None:
        if not isinstance(error.__cause__, OSError):
            raise error
        self._spool.store(run, held, self._ends.get(run))
        _log.warning("%s of run '%s' waits in %s: %s", what, run, self._spool.folder, error.asked)

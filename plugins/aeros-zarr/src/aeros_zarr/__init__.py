"""The repository of aeros as zarr v3, on a local disk or in a bucket.

Begin with `aeros_zarr.local` and `aeros_zarr.s3`, the two options, then
`aeros_zarr.archive.repository`, which implements the role over any store.

Rules about which models are kept do not belong here, see `aeros_core.models.retention`.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Any

from aeros_core import hookimpl
from aeros_core.options.metadata import address_option, folder_option

__all__ = ["S3", "Compression", "Zarr", "aeros_repositories"]


class Compression(Enum):
    """Compression of stored arrays."""

    none = "none"
    zstd = "zstd"


@dataclass
class Zarr:
    """Store runs, rounds and models in a folder of this machine.

    Args:
        path: The folder, created on first write; relative to the working directory.
        compression: ``none``, or ``zstd`` (float parameters shrink by a tenth or less and
            are stored at about a third of the speed).
        durable: Call fsync before a round counts as committed. Without it a killed process
            loses no data; a power cut may.
        keep: Number of most recent rounds of a run whose parameters are kept, at least 1.
            The records and metrics of all rounds are kept.
        keep_last: Number of newest model versions kept after a run finishes, at least 0.
            With 0 here and in ``keep_best``, all versions are kept.
        keep_best: Number of versions with the best ``keep_metric`` that are kept as well.
            Tagged versions, the newest one, and those of unfinished runs are always kept.
        keep_metric: Metric that ranks versions: lower is better for a loss or an error,
            higher for any other.
        verify: Hash the parameters of a model when they are read. Without it a model loads in
            less than half the time, but flipped bits are neither detected nor repaired.
            Records, rounds, algorithms and compressed arrays are always verified.
    """

    _target_: str = "aeros_zarr.local.ZarrRepository"
    path: str = folder_option("aeros-repository")
    compression: Compression = Compression.none
    durable: bool = True
    keep: int = 2
    keep_last: int = 0
    keep_best: int = 0
    keep_metric: str = "accuracy"
    verify: bool = True


@dataclass
class S3:
    """Store runs, rounds and models in a bucket of any S3 endpoint.

    Credentials are read only from the environment: ``AWS_ACCESS_KEY_ID``,
    ``AWS_SECRET_ACCESS_KEY`` and, optionally, ``AWS_SESSION_TOKEN``.

    Args:
        endpoint: URL such as ``https://minio.example.org:9000``; empty for AWS.
        bucket: Name of an existing bucket.
        prefix: Key prefix of the repository; empty for the whole bucket.
        region: Region used to sign requests.
        path_style: Address objects as ``endpoint/bucket/key`` rather than
            ``bucket.endpoint/key``, which AWS prefers.
        retries: Number of times a failed request is repeated, at least 0, with pauses
            from 0.1 to 5 s.
        timeout: Seconds for one request; each transfers at most 16 MB.
        spool: Local folder for rounds that could not be uploaded; relative to the working
            directory.
        cache: Local folder for downloaded blobs, shared between processes; relative to the
            working directory, empty for no cache.
        cache_gb: Maximum size of the cache in gigabytes (10^9 bytes), above 0; least
            recently used files are removed first.
        compression: ``none``, or ``zstd`` (float parameters shrink by a tenth or less).
        keep: Number of most recent rounds of a run whose parameters are kept, at least 1.
            The records and metrics of all rounds are kept.
        keep_last: Number of newest model versions kept after a run finishes, at least 0.
            With 0 here and in ``keep_best``, all versions are kept.
        keep_best: Number of versions with the best ``keep_metric`` that are kept as well.
            Tagged versions, the newest one, and those of unfinished runs are always kept.
        keep_metric: Metric that ranks versions: lower is better for a loss or an error,
            higher for any other.
        verify: Hash the parameters of a model when they are read. Without it a model loads in
            less than half the time, but flipped bits are neither detected nor repaired.
            Records, rounds, algorithms and compressed arrays are always verified.
    """

    _target_: str = "aeros_zarr.s3.S3Repository"
    endpoint: str = address_option("")
    bucket: str = "aeros"
    prefix: str = ""
    region: str = "us-east-1"
    path_style: bool = True
    retries: int = 5
    timeout: float = 60.0
    spool: str = folder_option("aeros-spool")
    cache: str = folder_option("aeros-cache")
    cache_gb: float = 10.0
    compression: Compression = Compression.none
    keep: int = 2
    keep_last: int = 0
    keep_best: int = 0
    keep_metric: str = "accuracy"
    verify: bool = True


@hookimpl
def aeros_repositories() -> dict[str, type[Any]]:
    """Register ``repository=zarr`` and ``repository=s3``."""
    return {"s3": S3, "zarr": Zarr}

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
    """How arrays are compressed."""

    none = "none"
    zstd = "zstd"


@dataclass
class Zarr:
    """Keeps runs, rounds and models in one folder of this machine.

    Args:
        path: The folder, made when first written to; relative to where aeros is started.
        compression: ``none``, or ``zstd`` (float parameters shrink by a tenth or less and
            are stored at about a third of the speed).
        durable: Wait until the disk has it (fsync) before a round counts as committed.
            Without it a killed process still loses nothing, a power cut may.
        keep: Rounds of a run, from the last one back, whose parameters are kept, at
            least 1. What every round did and measured is kept for ever.
        keep_last: Versions of the model, from the newest back, that are kept when a run has
            ended well, at least 0. With 0 here and in ``keep_best``, all are.
        keep_best: So many with the best ``keep_metric`` are kept, too. What a tag points to
            stays, the newest, and what a run that has not finished has stored.
        keep_metric: Less is better for a loss or an error, more for anything else.
        verify: Hash the parameters of a model when they are read. Without, a model is there in
            less than half the time, but a bit of it that has flipped is neither found nor
            healed. Records, rounds, algorithms and compressed arrays are verified all the same.
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
    """Keeps runs, rounds and models in a bucket of any S3 endpoint.

    The credentials are read from the environment alone: ``AWS_ACCESS_KEY_ID``,
    ``AWS_SECRET_ACCESS_KEY`` and, if there is one, ``AWS_SESSION_TOKEN``.

    Args:
        endpoint: URL such as ``https://minio.example.org:9000``; empty for AWS.
        bucket: Name of a bucket that exists.
        prefix: Below which key everything lies; empty for the whole bucket.
        region: As the endpoint wants it signed.
        path_style: ``endpoint/bucket/key`` rather than ``bucket.endpoint/key``, which
            AWS prefers.
        retries: How often a request that failed is repeated, at least 0, with pauses
            from 0.1 to 5 s.
        timeout: Seconds for one request, of which each moves 16 MB at most.
        spool: Local folder where a round waits that could not be uploaded; relative to
            where aeros is started.
        cache: Local folder where blobs stay that were read, shared by any processes;
            relative to where aeros is started, empty for none.
        cache_gb: Gigabytes (10^9 bytes) that the cache holds at most, above 0; what was
            used longest ago goes.
        compression: ``none``, or ``zstd`` (float parameters shrink by a tenth or less).
        keep: Rounds of a run, from the last one back, whose parameters are kept, at
            least 1. What every round did and measured is kept for ever.
        keep_last: Versions of the model, from the newest back, that are kept when a run has
            ended well, at least 0. With 0 here and in ``keep_best``, all are.
        keep_best: So many with the best ``keep_metric`` are kept, too. What a tag points to
            stays, the newest, and what a run that has not finished has stored.
        keep_metric: Less is better for a loss or an error, more for anything else.
        verify: Hash the parameters of a model when they are read. Without, a model is there in
            less than half the time, but a bit of it that has flipped is neither found nor
            healed. Records, rounds, algorithms and compressed arrays are verified all the same.
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
    """Offer ``repository=zarr`` and ``repository=s3``."""
    return {"s3": S3, "zarr": Zarr}

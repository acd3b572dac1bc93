"""Saving and loading parameters: the zarr repository beside the disk itself and its peers.

    python tests/benchmarks/repository.py [--quick] [--json FILE] [--folder DIR]

Every save ends with fsync, the peers' too (zarr has none to ask for). The subjects of one
work take turns, and what each wrote is removed before the next. A ratio is the time of the
first subject of the work, the bare disk, over the subject's own: 0.8 is 80 % of its speed.
Reads come from the page cache. What can be verified in a moment is the lower of what is read
and what is hashed in it, so that `reached` by one of the two is enough.

Two works are no race: how many bytes a round writes that changes 1 % of the layers, and how
long a list of 100,000 versions takes, whose manifests are put there beforehand.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import table
from numpy.typing import NDArray
from table import Goal, Subject, Work

from aeros_core.parameters import Parameters
from aeros_core.records import Checkpoint, Model, Run
from aeros_core.results import Round
from aeros_core.schema import Schema
from aeros_zarr import Compression
from aeros_zarr.format import manifest
from aeros_zarr.local import ZarrRepository
from aeros_zarr.s3 import S3Repository

PACKAGES = ("aeros-zarr", "numpy", "zarr", "obstore", "moto", "torch", "safetensors")
STEP = 16 * 2**20
SAVED = [
    Goal(subject, least, peers)
    for subject in ("aeros commit", "aeros publish")
    for least, peers in (
        (0.8, ("write + fsync",)),
        (1.0, ("torch.save + fsync", "safetensors + fsync")),
    )
]
LOADED = [
    Goal("aeros model, verified", 0.8, ("read", "digest, both cores"), slowest=True),
    Goal("aeros model, verified", 1.0, ("torch.load weights_only", "safetensors")),
    Goal("aeros model, unverified", 0.9, ("read",)),
]
PUT = [Goal("aeros publish", 0.8, ("obstore multipart",))]
GOT = [Goal("aeros model, verified", 0.8, ("obstore",))]
FOREVER: dict[str, Any] = {"keep_last": 0, "keep_best": 0, "keep_metric": "accuracy"}


def main() -> None:
    options = arguments()
    rows: list[table.Row] = []
    table.heading(PACKAGES)
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        rows += [layers(Path(folder) / "layers", options.quick)]
        for work, repeats in works(Path(folder), options.quick):
            rows += table.run(work, repeats)
    table.write(options.json, rows, PACKAGES)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="40 MB and few repeats")
    parser.add_argument("--json", metavar="FILE", help="write the rows there too")
    parser.add_argument("--folder", metavar="DIR", help="where to write; default: the system's")
    return parser.parse_args()


def works(folder: Path, quick: bool) -> Iterator[tuple[Work, int]]:
    megabytes = 40 if quick else 400
    big = vector(megabytes * 250_000)
    small = vector(7_500)
    repeats = 3 if quick else 7
    yield Work(f"save {megabytes} MB", saves(folder / "save", big), big.nbytes, SAVED), repeats
    yield Work(f"load {megabytes} MB", loads(folder / "load", big), big.nbytes, LOADED), repeats
    shutil.rmtree(folder / "load")
    repeats = 30 if quick else 100
    yield Work("save 30 kB", saves(folder / "small", small)), repeats
    yield Work("load 30 kB", loads(folder / "small-load", small)), repeats
    count = 10_000 if quick else 100_000
    yield Work(f"list {count:,} versions", lists(folder / "list", count)), 3
    if importlib.util.find_spec("moto") and importlib.util.find_spec("flask"):
        with endpoint() as url:
            repeats = 2 if quick else 3
            subjects = puts(folder / "put", url, big)
            yield Work(f"S3 put {megabytes} MB", subjects, big.nbytes, PUT), repeats
            subjects = gets(folder / "get", url, big)
            yield Work(f"S3 get {megabytes} MB", subjects, big.nbytes, GOT), repeats


def layers(folder: Path, quick: bool) -> table.Row:
    """Return what a round writes of which one layer in a hundred is another."""
    each = 25_000 if quick else 1_000_000
    tensors = {f"w{number}": vector(each) for number in range(100)}
    fresh = Fresh(folder)
    fresh.begin()
    fresh.commit(Parameters.of(tensors))
    before = written(folder)
    other = Parameters.of(tensors | {"w50": tensors["w50"] + 1})
    said = Round(2, {}, {}, {}, {}, {}, {}, 0, 0)
    fresh.repository.commit("run", Checkpoint(said, other))
    nbytes = written(folder) - before
    share = nbytes / other.nbytes
    print(f"{'1 % of the layers':24} {nbytes:,} of {other.nbytes:,} bytes written, {share:.2%}")
    return {"work": "1 % of the layers", "subject": "aeros commit", "bytes": nbytes, "share": share}


def written(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def lists(folder: Path, count: int) -> list[Subject]:
    """Return ways to list versions; that of a first list, without an index, comes first."""
    fresh = Fresh(folder)
    fresh.begin()
    fresh.publish(Parameters.of({"w": vector(1)}))
    versions = folder / "models" / "model"
    content = manifest.read(fresh.repository._store, "model", "models/model/1.json")
    assert content is not None
    for version in range(2, count + 1):
        said = {**content, "version": version}
        (versions / f"{version}.json").write_bytes(manifest.dump("model", said))
    index = versions / "index"
    last = {"offset": count - 100, "limit": 100}
    return [
        Subject(
            "all, no index yet",
            lambda: fresh.repository.models("model"),
            lambda: shutil.rmtree(index, ignore_errors=True),
        ),
        Subject(
            "all",
            lambda: fresh.repository.models("model"),
            lambda: fresh.repository.collect(
                3600.0
            ),  # as publishing and gc do; reading writes none
        ),
        Subject("last page of 100", lambda: fresh.repository.page("model", newest=False, **last)),
    ]


def vector(length: int) -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal(length, dtype=np.float32)


def saves(folder: Path, data: NDArray[np.float32]) -> list[Subject]:
    folder.mkdir()
    parameters = Parameters.of({"w": data})
    fresh = Fresh(folder / "repository")

    def clean() -> None:
        for path in folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
        fresh.begin()
        os.sync()

    subjects = [
        Subject("write + fsync", lambda: raw_write(folder / "raw", data), clean),
        Subject("aeros commit", lambda: fresh.commit(parameters), clean),
        Subject("aeros publish", lambda: fresh.publish(parameters), clean),
    ]
    with contextlib.suppress(ImportError):
        import torch

        tensor = torch.from_numpy(data)
        path = folder / "model.pt"
        subjects.append(
            Subject(
                "torch.save + fsync",
                lambda: synced(path, torch.save, {"w": tensor}, path),
                clean,
            )
        )
    with contextlib.suppress(ImportError):
        from safetensors.numpy import save_file

        file = folder / "model.safetensors"
        subjects.append(
            Subject(
                "safetensors + fsync", lambda: synced(file, save_file, {"w": data}, file), clean
            )
        )
    subjects.append(Subject("zarr, no fsync", lambda: zarr_write(folder / "z", data), clean))
    return subjects


def loads(folder: Path, data: NDArray[np.float32]) -> list[Subject]:
    folder.mkdir()
    raw_write(folder / "raw", data)
    fresh = Fresh(folder / "repository")
    fresh.begin()
    fresh.commit(Parameters.of({"w": data}))
    fresh.publish(Parameters.of({"w": data}))
    quick = fresh.opened(verify=False)
    subjects = [
        Subject("read", lambda: raw_read(folder / "raw", data)),
        Subject("digest, both cores", lambda: digest(data)),
        Subject("aeros latest, verified", lambda: fresh.repository.latest("run")),
        Subject("aeros model, verified", lambda: fresh.repository.model("model")),
        Subject("aeros model, unverified", lambda: quick.model("model")),
    ]
    with contextlib.suppress(ImportError):
        import torch

        path = folder / "model.pt"
        torch.save({"w": torch.from_numpy(data)}, path)
        subjects.append(
            Subject("torch.load weights_only", lambda: torch.load(path, weights_only=True))
        )
    with contextlib.suppress(ImportError):
        from safetensors.numpy import load_file, save_file

        file = folder / "model.safetensors"
        save_file({"w": data}, file)
        subjects.append(Subject("safetensors", lambda: load_file(file)))
    zarr_write(folder / "z", data)
    subjects.append(Subject("zarr", lambda: zarr_read(folder / "z")))
    return subjects


@contextlib.contextmanager
def endpoint() -> Iterator[str]:
    """Run moto's server on loopback, with a bucket; it keeps objects in memory."""
    import boto3

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    words = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    keys = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    os.environ.update(dict.fromkeys(keys, "any"))
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        options = {"endpoint_url": url, "region_name": "us-east-1"}
        client = boto3.client("s3", **options)
        for attempt in range(60):
            try:
                client.create_bucket(Bucket="aeros")
                break
            except Exception:
                if attempt == 59:
                    raise
                time.sleep(0.5)
        yield url
    finally:
        process.kill()
        process.wait()


def in_bucket(folder: Path, url: str, *, verify: bool = True) -> S3Repository:
    return S3Repository(
        endpoint=url, bucket="aeros", prefix=folder.name, region="us-east-1", path_style=True,
        retries=2, timeout=60.0, spool=str(folder), cache="", cache_gb=1.0,
        compression=Compression.none, keep=2, verify=verify, **FOREVER,
    )  # fmt: skip


def bare(url: str, prefix: str = "bare") -> Any:
    from obstore.store import S3Store

    config: Any = {"endpoint": url, "region": "us-east-1", "virtual_hosted_style_request": False}
    return S3Store("aeros", prefix=prefix, config=config, client_options={"allow_http": True})


def puts(folder: Path, url: str, data: NDArray[np.float32]) -> list[Subject]:
    import obstore

    parameters = Parameters.of({"w": data})
    repository = in_bucket(folder, url)
    store, written = bare(url), bare(url, folder.name)
    raw = data.view(np.uint8).data

    def clean() -> None:
        """Empty the repository but for its marker, so that a first version is published."""
        for key in ("blobs", "models"):
            obstore.delete(written, [each["path"] for each in obstore.list(written, key).collect()])

    return [
        Subject(
            "obstore multipart",
            lambda: obstore.put(store, "raw", raw, chunk_size=STEP, max_concurrency=8),
            clean,
        ),
        Subject(
            "aeros publish",
            lambda: repository.publish(Model("model", parameters, Schema(()))),
            clean,
        ),
    ]


def gets(folder: Path, url: str, data: NDArray[np.float32]) -> list[Subject]:
    import obstore

    repository = in_bucket(folder, url)
    repository.publish(Model("model", Parameters.of({"w": data}), Schema(())))
    quick = in_bucket(folder, url, verify=False)
    store = bare(url)
    obstore.put(store, "raw", data.view(np.uint8).data, chunk_size=STEP)
    return [
        Subject("obstore", lambda: obstore.get(store, "raw").bytes()),
        Subject("aeros model, verified", lambda: repository.model("model")),
        Subject("aeros model, unverified", lambda: quick.model("model")),
    ]


class Fresh:
    """A repository that is made anew before each save."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def opened(self, *, verify: bool) -> ZarrRepository:
        return ZarrRepository(
            path=str(self.path), compression=Compression.none, durable=True, keep=2,
            verify=verify, **FOREVER,
        )  # fmt: skip

    def begin(self) -> None:
        self.repository = self.opened(verify=True)
        self.repository.begin(Run("run", "model", "", {}, {}, ""))

    def commit(self, parameters: Parameters) -> None:
        self.repository.commit(
            "run", Checkpoint(Round(1, {}, {}, {}, {}, {}, {}, 0, 0), parameters)
        )

    def publish(self, parameters: Parameters) -> None:
        self.repository.publish(Model("model", parameters, Schema(())))


def raw_write(path: Path, data: NDArray[np.float32]) -> None:
    view = data.view(np.uint8).data
    with path.open("wb", buffering=0) as file:
        for start in range(0, len(view), STEP):
            file.write(view[start : start + STEP])
        os.fsync(file.fileno())


def raw_read(path: Path, data: NDArray[np.float32]) -> NDArray[np.float32]:
    out = np.empty_like(data)
    view = out.view(np.uint8).data
    with path.open("rb", buffering=0) as file:
        for start in range(0, len(view), STEP):
            file.readinto(view[start : start + STEP])
    return out


def digest(data: NDArray[np.float32]) -> list[str]:
    view = data.view(np.uint8).data
    chunks = [view[start : start + STEP] for start in range(0, len(view), STEP)]
    with ThreadPoolExecutor(os.cpu_count()) as hashers:
        return list(hashers.map(lambda chunk: sha256(chunk).hexdigest(), chunks))


def zarr_write(path: Path, data: NDArray[np.float32]) -> None:
    import zarr

    zarr.create_array(path, data=data, chunks=(min(len(data), STEP // 4),), compressors=None)


def zarr_read(path: Path) -> object:
    import zarr

    return zarr.open_array(path, mode="r")[:]


def synced(path: Path, save: Callable[..., object], *arguments: object) -> None:
    save(*arguments)
    with path.open("rb") as file:
        os.fsync(file.fileno())


if __name__ == "__main__":
    main()

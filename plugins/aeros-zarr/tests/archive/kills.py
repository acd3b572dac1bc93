"""Does one piece of work again and again, killed each time one system call later.

    python kills.py FOLDER WORK CHUNK_BYTES

Each attempt runs in a forked process on a copy of the same repository and is ended by
SIGKILL right before its k-th system call that changes the disk, or in the middle of its
k-th file. Prints one JSON line for each attempt: what a new process then finds, and
whether it can go on.
"""

import itertools
import json
import os
import shutil
import signal
import sys
from pathlib import Path

import numpy as np

import aeros_zarr.format.arrays
from aeros_core.parameters import Parameters
from aeros_core.records import Checkpoint, Model, Run
from aeros_core.results import Result, Round, Status
from aeros_core.schema import Schema
from aeros_zarr import Compression
from aeros_zarr.local import ZarrRepository
from aeros_zarr.stores.disk import Disk

FOREVER = {"keep_last": 0, "keep_best": 0, "keep_metric": "accuracy", "verify": True}
CALLS = ("fsync", "replace", "rename", "link", "mkdir", "unlink", "rmdir")


def main() -> None:
    folder, work, chunk = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    aeros_zarr.format.arrays.CHUNK = chunk
    prepare(folder / "before")
    for how in (before_a_call, within_a_file):
        for k in itertools.count():
            shutil.copytree(folder / "before", folder / "now")
            killed = attempt(how, k, folder / "now", work)
            print(json.dumps({"how": how.__name__, "killed": killed, **found(folder / "now")}))
            shutil.rmtree(folder / "now")
            if not killed:
                break


def prepare(path: Path) -> None:
    repository = store(path)
    repository.begin(run("a"))
    for number in (1, 2, 3):
        repository.commit("a", checkpoint(number))
    repository.publish(model(1))
    repository.finish("a", result(1))


def attempt(how, k: int, path: Path, work: str) -> bool:
    child = os.fork()
    if child == 0:
        how(k)
        WORK[work](store(path))
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])


def before_a_call(k: int) -> None:
    counter = itertools.count()

    def deadly(call):
        def wrapped(*arguments, **options):
            if next(counter) == k:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return wrapped

    for name in CALLS:
        setattr(os, name, deadly(getattr(os, name)))


def within_a_file(k: int) -> None:
    counter = itertools.count()
    write = Disk.write

    def wrapped(self, path, *parts):
        if next(counter) == k:
            data = b"".join(parts)
            path.write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        write(self, path, *parts)

    Disk.write = wrapped


def found(path: Path) -> dict:
    latest = store(path).latest("a")
    number = latest.round.number
    rounds = [r.number for r in store(path).history("a")]
    infos = store(path).models("model")
    seen = {
        "latest": number,
        "intact": same(latest.parameters, checkpoint(number).parameters)
        and same(latest.state["collector"]["m"], checkpoint(number).state["collector"]["m"])
        and all(
            same(
                store(path).model("model", info.version).parameters, model(info.version).parameters
            )
            for info in infos
        ),
        "rounds": rounds,
        "runs": [r.id for r in store(path).runs()],
        "result": store(path).result("a")["rounds"],
        "versions": [info.version for info in infos],
    }
    return {**seen, "goes_on": goes_on(path, number + 1, len(infos) + 1)}


def goes_on(path: Path, number: int, version: int) -> bool:
    repository = store(path)
    repository.begin(run("b"))
    repository.commit("a", checkpoint(number))
    info = repository.publish(model(version))
    latest = store(path).latest("a")
    held = len(list((path / "runs" / "a" / "blobs").iterdir()))
    files = store(path).verify()
    named = [file for file in files if "/a/blobs/" in file and file.endswith("zarr.json")]
    return (
        latest.round.number == number
        and same(latest.parameters, checkpoint(number).parameters)
        and info.version == version
        and not any(files.values())
        and held == len(named)  # nothing is left behind
    )


def same(a, b) -> bool:
    if isinstance(a, Parameters):
        return a.digest == b.digest
    return a.tobytes() == b.tobytes()


def store(path: Path) -> ZarrRepository:
    return ZarrRepository(
        path=str(path), compression=Compression.none, durable=True, keep=2, **FOREVER
    )


def run(name: str) -> Run:
    return Run(name, "task", "", {}, {}, "2026-01-01")


def parameters(seed: int) -> Parameters:
    return Parameters.of({"w": vector(seed), "frozen": np.arange(1500, dtype=np.float32)})


def vector(seed: int):
    return np.random.default_rng(seed).standard_normal(1400, dtype=np.float32)


def checkpoint(number: int) -> Checkpoint:
    round = Round(number, {"loss": 1 / number}, {}, {}, {}, {}, {}, 0, 0)
    return Checkpoint(round, parameters(number), {"collector": {"m": vector(1000 + number)}})


def model(version: int) -> Model:
    return Model("model", parameters(2000 + version), Schema(()))


def result(rounds: int) -> Result:
    return Result("task", Status.FINISHED, rounds, {}, {}, 0.0, 0, 0, {})


WORK = {
    "commit": lambda repository: repository.commit("a", checkpoint(4)),
    "back": lambda repository: repository.commit("a", checkpoint(2)),
    "again": lambda repository: repository.commit("a", checkpoint(3)),
    "publish": lambda repository: repository.publish(model(2)),
    "begin": lambda repository: repository.begin(run("b")),
    "finish": lambda repository: repository.finish("a", result(2)),
}

if __name__ == "__main__":
    main()

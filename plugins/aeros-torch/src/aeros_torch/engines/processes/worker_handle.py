"""A worker process as its trainer sees it."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aeros_core.arrays import Array
from aeros_core.data import Dataset
from aeros_torch.engines.processes.channel import Channel
from aeros_torch.engines.processes.job import Job
from aeros_torch.engines.processes.parameter_slots import SEATS, SharedParameters
from aeros_torch.engines.processes.shared_memory import SharedMemory

__all__ = ["Table", "WorkerHandle"]

_SPEAKS = 60.0
"""Seconds that a process may take to read what it is sent, or to end a message it has begun."""


class Table:
    """The columns of a table where workers can read them.

    Args:
        data: A data set with these columns.
    """

    def __init__(self, data: Dataset):
        self._columns = dict(data.columns)
        shapes = [(array.dtype.name, array.shape) for array in self._columns.values()]
        self._shared = SharedMemory(shapes)
        for shared, array in zip(self._shared.arrays, self._columns.values(), strict=True):
            np.copyto(shared, array)
        self.told = [[name, *kind] for name, kind in zip(self._columns, shapes, strict=True)]

    @property
    def file(self) -> int:
        """The open file of the memory."""
        return self._shared.file

    def holds(self, data: Dataset) -> bool:
        """Tell whether these are the same arrays."""
        return len(data.columns) == len(self._columns) and all(
            data.columns.get(name) is array for name, array in self._columns.items()
        )


@dataclass(slots=True, eq=False)
class WorkerHandle:
    """One process, and the clients that it has.

    Args:
        wire: The connection to it.
        process: The process.
        bench: Where parameters lie.
        ready: Whether it has built its model.
        jobs: What it has been given, by ticket; it works on the first.
        since: When it began to, seconds of the monotonic clock.
    """

    wire: Channel
    process: subprocess.Popen[bytes]
    bench: SharedParameters
    ready: bool = False
    jobs: dict[int, Job] = field(default_factory=dict)
    since: float = 0.0
    _table: Table | None = None
    _spent: int | None = None
    _moved: float = field(default_factory=time.monotonic)

    @classmethod
    def start(cls, told: Mapping[str, Any], bench: SharedParameters, threads: int) -> WorkerHandle:
        """Start a process; it says by itself when it is ready.

        It is no fork of this one, which may have threads, nor does it import what was run
        here as ``__main__``.

        Raises:
            OSError: There can be no further process.
        """
        wire, there = Channel.pair()
        number = str(there.fileno())
        env = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
        }
        with there:
            process = subprocess.Popen(  # noqa: S603 - this very Python
                [sys.executable, "-P", "-m", "aeros_torch.engines.processes.worker", number],
                pass_fds=[there.fileno()],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        hand = cls(wire, process, bench)
        wire.limit(_SPEAKS)
        try:
            wire.send(told, files=[bench.file])
        except OSError:
            hand.end()
            raise
        return hand

    def give(self, ticket: int, job: Job, table: Table) -> None:
        """Send a client to be trained.

        Raises:
            OSError: The process has ended.
        """
        if self._table is not table:
            self.wire.send({"columns": table.told}, files=[table.file])
            self._table = table
        taken = {number % SEATS for number in self.jobs}
        seat = next(seat for seat in range(SEATS) if seat not in taken)
        number = ticket * SEATS + seat
        self.bench.put_start(seat, job.instruction.parameters)
        if (drift := job.instruction.vectors.get("drift")) is not None:
            self.bench.put_drift(seat, drift)
        rows: Array | None = job.data.rows
        more = b"" if rows is None else np.ascontiguousarray(rows, np.int64).tobytes()
        self.wire.send({"ticket": number, "seat": seat, **job.told()}, more)
        if not self.jobs:
            self.since = self._moved = time.monotonic()
        self.jobs[number] = job

    @property
    def still(self) -> float:
        """Seconds for which the process has used no processor, while there was work for it."""
        spent, now = _processor(self.process.pid), time.monotonic()
        if spent is None or spent != self._spent or (self.ready and not self.jobs):
            self._spent, self._moved = spent, now
        return now - self._moved

    @property
    def left(self) -> float:
        """Seconds that it may still take for what it works on; infinite without a deadline."""
        deadline = next((job.instruction.deadline for job in self.jobs.values()), None)
        return math.inf if deadline is None else self.since + deadline - time.monotonic()

    def take(self) -> Job | None:
        """Receive a message, and take up what it says; return the client that is done, if any.

        Raises:
            EOFError: The process has ended.
            OSError: The connection is broken.
            ChildProcessError: It cannot build the model.
        """
        told, _, _ = self.wire.receive()
        self._moved = time.monotonic()
        if "unable" in told:
            raise ChildProcessError(told["unable"])
        if "ready" in told:
            self.ready = True
            return None
        job = self.jobs.pop(told["ticket"])
        self.since = time.monotonic()
        if "error" in told:
            job.failed(told["error"])
        elif not job.dropped:
            job.done(told, self.bench.made(told["ticket"] % SEATS))
        return job

    def end(self, patience: float = 0.0) -> str:
        """End the process; return how it ended.

        Args:
            patience: Seconds it has to end by itself.
        """
        self.wire.close()
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"


def _processor(pid: int) -> int | None:
    """Return how much of a processor a process has used, in clock ticks; None: nobody knows."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except (OSError, ValueError):
        return None
    return int(fields[11]) + int(fields[12])

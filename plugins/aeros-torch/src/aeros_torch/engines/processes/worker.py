"""A worker process: ``python -m aeros_torch.engines.processes.worker FILE`` trains what it is sent.

It ends when its trainer does, however that comes: a thread waits for messages, and the
closed connection ends the process in the middle of whatever it is doing.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from queue import SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeAlias

from aeros_torch.engines.processes.channel import Channel

if TYPE_CHECKING:
    from aeros_torch.training.context import TrainingContext

__all__ = ["main"]

_Message: TypeAlias = tuple[dict[str, Any], bytes, list[int]]


def main() -> None:
    """Serve the trainer at the other end of the open file named on the command line."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trainer, which ends this
    wire = Channel(socket.socket(fileno=int(sys.argv[1])))
    inbox: SimpleQueue[_Message] = SimpleQueue()
    Thread(target=_listen, args=(wire, inbox), daemon=True).start()
    _serve(wire, iter(inbox.get, None))


def _listen(wire: Channel, inbox: SimpleQueue[_Message]) -> None:
    try:
        while True:
            inbox.put(wire.receive())
    except (EOFError, OSError):
        os._exit(0)


def _serve(wire: Channel, messages: Iterator[_Message]) -> None:
    told, _, files = next(messages)
    try:
        from aeros_torch.engines.processes.trainer_spec import (
            rebuild,  # torch comes along: only now
        )

        place = WorkerState(rebuild(told, told["device"]), *files)
    except Exception as error:
        wire.send({"unable": f"{type(error).__name__}: {error}"})
        return
    wire.send({"ready": True})
    for told, rows, files in messages:
        if "columns" in told:
            place.lay(told["columns"], *files)
        else:
            wire.send(place.train(told, rows))


class WorkerState:
    """A workshop of its own, and the memory it shares with the trainer.

    Args:
        context: Module, data and what to do.
        file: The open file of the bench.
    """

    def __init__(self, context: TrainingContext, file: int):
        from aeros_core.data import Dataset
        from aeros_torch.engines.processes.parameter_slots import SharedParameters
        from aeros_torch.engines.sequential import SequentialEngine

        self._shop, self._engine = context, SequentialEngine(context)
        self._bench = SharedParameters(context.network.layout, len(context.network.weights), file)
        self._table = Dataset(context.schema, {})

    def lay(self, columns: list[list[Any]], file: int) -> None:
        """Take up a table: ``[name, dtype, shape]`` of each column."""
        from aeros_core.data import Dataset
        from aeros_torch.engines.processes.shared_memory import SharedMemory

        shared = SharedMemory([(dtype, tuple(shape)) for _, dtype, shape in columns], file)
        for array in shared.arrays:
            array.flags.writeable = False
        names = [name for name, _, _ in columns]
        self._table = Dataset(self._shop.schema, dict(zip(names, shared.arrays, strict=True)))

    def train(self, told: Mapping[str, Any], rows: bytes) -> dict[str, Any]:
        """Train a client; return what to tell of it."""
        from aeros_torch.engines.processes.job import fault

        try:
            return {"ticket": told["ticket"], **self._trained(told, rows)}
        except Exception as error:
            return {"ticket": told["ticket"], "error": fault(error)}

    def _trained(self, told: Mapping[str, Any], rows: bytes) -> dict[str, Any]:
        import numpy as np

        from aeros_core.messages import Instruction

        seat = told["seat"]
        sent = Instruction(
            round=told["round"],
            node=told["node"],
            parameters=self._bench.start(seat),
            seed=told["seed"],
            scalars=told["scalars"],
            vectors={"drift": self._bench.drift(seat)} if told["drift"] else {},
        )
        data = self._table if told["whole"] else self._table.take(np.frombuffer(rows, np.int64))
        began = time.perf_counter()
        update = next(self._engine.train([sent], [data], [told["rate"]]))
        seconds = time.perf_counter() - began
        self._bench.put_made(seat, update.parameters)
        return {
            "metrics": dict(update.metrics),
            "scalars": dict(update.scalars),
            "seconds": seconds,
        }


if __name__ == "__main__":
    main()

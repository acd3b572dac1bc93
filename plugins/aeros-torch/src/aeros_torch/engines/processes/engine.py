"""The engine that trains clients in several processes, each with a model of its own."""

from __future__ import annotations

import logging
import socket
from collections import deque
from collections.abc import Iterator, Sequence

import torch

from aeros_core.data import Dataset
from aeros_core.errors import AerosError, ConfigError
from aeros_core.messages import Failure, Instruction, Metrics, Update
from aeros_core.parameters import Parameters
from aeros_torch.engines.processes.job import Job, fault
from aeros_torch.engines.processes.pool import WorkerPool
from aeros_torch.engines.processes.trainer_spec import draw
from aeros_torch.engines.sequential import SequentialEngine
from aeros_torch.modules.device import cores
from aeros_torch.training.context import TrainingContext

__all__ = ["ProcessEngine", "devices", "workers"]

_log = logging.getLogger(__name__)

_ROOM = 2**28
"""Bytes of updates that may be ready before their turn."""

_ITS_OWN = (AerosError, ArithmeticError, RuntimeError, ValueError)


def workers(context: TrainingContext) -> ProcessEngine | str:
    """Return the engine, or why it cannot train here."""
    if not hasattr(socket, "AF_UNIX") or not hasattr(socket, "send_fds"):
        return "this system hands no open files to other processes"
    told = draw(context)
    if isinstance(told, str):
        return told
    return ProcessEngine(context, WorkerPool(context, told, devices(context)))


class ProcessEngine:
    """Trains as `SequentialEngine` does, several clients at a time, with the same bits.

    The processes are started by the first cohort of more than one client. While they start,
    and where they cannot, clients are trained here.

    Args:
        context: Module, data and what to do.
        crew: The processes.
    """

    def __init__(self, context: TrainingContext, crew: WorkerPool):
        self._shop, self._here, self.crew = context, SequentialEngine(context), crew
        self._said = False

    crew: WorkerPool
    """The processes."""

    def train(
        self, instructions: Sequence[Instruction], data: Sequence[Dataset], rates: Sequence[float]
    ) -> Iterator[Update | Failure]:
        """Yield the reply to each instruction, in order; others are trained meanwhile.

        Raises:
            ConfigError: The parameters are of another model.
        """
        if len(instructions) > 1:
            self.crew.start(len(instructions))
        jobs = map(self._job, instructions, data, rates)
        begun: deque[Job] = deque()
        try:
            while True:
                for job in self._few(jobs, begun):
                    begun.append(job)
                    self.crew.give(job)
                if not begun:
                    return
                yield self._reply(begun[0])
                begun.popleft()
        except KeyboardInterrupt:
            self.crew.stop()  # a message may have been cut in two
            raise
        finally:
            self.crew.drop(begun)

    def _job(self, instruction: Instruction, data: Dataset, rate: float) -> Job:
        network = self._shop.network
        network.check(instruction.parameters)
        drift = instruction.vectors.get("drift")
        if drift is not None and tuple(drift.shape) != tuple(network.weights.shape):
            network.taken("drift", instruction.vectors)  # says what is wrong with it
        return Job(instruction, data, rate)

    def _few(self, jobs: Iterator[Job], begun: deque[Job]) -> Iterator[Job]:
        """Yield as many jobs as may be begun beside those that are."""
        layout, least = self._shop.network.layout, 3 * self.crew.places
        most = max(least, _ROOM // layout.nbytes)
        while len(begun) < most and (job := next(jobs, None)) is not None:
            yield job

    def _reply(self, job: Job) -> Update | Failure:
        while job.reply is None:
            if self.crew.ready or (self.crew.began and not self.crew.broken):
                self.crew.work()
            else:
                self._do(job)
        if isinstance(job.reply, ConfigError):
            raise job.reply
        return job.reply

    def _do(self, job: Job) -> None:
        """Train a client here, for want of processes."""
        if self.crew.broken and not self._said:
            _log.warning("clients are trained in one process: %s", self.crew.broken)
            self._said = True
        self.crew.drop([job])
        if job.deaths:
            job.lost(self.crew.broken)
            return
        try:
            job.reply = next(self._here.train([job.instruction], [job.data], [job.rate]))
        except _ITS_OWN as error:
            job.failed(fault(error))
        if not self.crew.broken:
            self.crew.work(0.0)

    def evaluate(self, parameters: Parameters, data: Dataset) -> Metrics:
        """Return the metrics that `evaluation.evaluate` returns.

        Raises:
            ConfigError: The parameters are of another model.
        """
        return self._here.evaluate(parameters, data)


def devices(context: TrainingContext) -> list[str]:
    """Return where each process computes: a core, or in turns one of the GPUs."""
    device = context.network.device
    if device.type == "cpu":
        return ["cpu"] * (context.workers or cores())
    any_gpu = context.options["device"] in ("auto", "cuda")
    gpus = range(torch.cuda.device_count()) if any_gpu else [device.index]
    return [f"cuda:{number}" for _ in range(context.workers or _A_GPU) for number in gpus]


_A_GPU = 2
"""Processes on one GPU: while one waits for its kernels, the other launches."""

"""From a request to its predictions, whichever protocol brought it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aeros_core.data import Batch
from aeros_serving.models.job import Job
from aeros_serving.models.queue import RequestQueue
from aeros_serving.models.version import LoadedVersion
from aeros_serving.protocol.errors import Refused
from aeros_serving.requests import Request, rows_of, run_by_cost

__all__ = ["checked", "predicted"]


async def checked(
    served: LoadedVersion, cost: int, decode: Callable[[], Request]
) -> tuple[Request, Batch]:
    """Return a decoded request and its rows, checked; in a thread where that takes long.

    Args:
        served: The version that is asked.
        cost: Of decoding and checking, see `LARGE`.
        decode: Decodes the request.

    Raises:
        Refused: The request is malformed; the version's statistics count it.
    """

    def read() -> tuple[Request, Batch]:
        asked = decode()
        return asked, served.contract.check(asked.tensors, asked.datatypes, asked.bad)

    try:
        return await run_by_cost(cost, read)
    except Refused as refused:
        served.statistics.failed(type(refused).__name__, 0.0)
        raise


async def predicted(queue: RequestQueue, asked: Request, batch: Batch, deadline: float) -> Batch:
    """Return the predictions for rows; cancelled callers' rows are not computed.

    Args:
        queue: Of the version that is asked.
        asked: The request.
        batch: Its rows, checked.
        deadline: Monotonic time after which the caller no longer waits; infinity: never.

    Raises:
        Refused: There are no predictions.
    """
    answered: asyncio.Future[Batch | Refused] = asyncio.get_running_loop().create_future()

    def done(answer: Batch | Refused) -> None:
        if not answered.done():  # it is cancelled before its caller runs again
            answered.set_result(answer)

    job = Job(batch, rows_of(batch), done, deadline, how=asked.how)
    queue.submit(job)
    try:
        answer = await answered
    except asyncio.CancelledError:
        job.cancelled = True
        raise
    if isinstance(answer, Refused):
        raise answer
    return answer

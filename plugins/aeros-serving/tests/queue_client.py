"""A client of one request queue, in an event loop of its own."""

import asyncio

import uvloop

from aeros_serving.config import Where
from aeros_serving.models.batching import Batching
from aeros_serving.models.job import Job
from aeros_serving.models.queue import RequestQueue

PLAIN = {"max_batch": 8, "preferred": (), "delay": 0.0, "max_queue": 100, "deadline": 0.0}


class Desk:
    """Asks a lane, and keeps the answers in order."""

    def __init__(self, served, where=Where.thread, **changes):
        self.lane = RequestQueue(
            served, Batching(**PLAIN | changes), where, asyncio.get_running_loop()
        )
        self.answers = []

    def ask(self, batch, **more):
        waiting = asyncio.get_running_loop().create_future()
        job = Job(batch, len(next(iter(batch.values()))), waiting.set_result, **more)
        self.lane.submit(job)
        self.answers.append(waiting)
        return job

    async def all(self):
        return [await asyncio.wait_for(answer, 20) for answer in self.answers]


def run(work):
    """Run a test in the event loop that servers have, whose handles are of other types."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(asyncio.wait_for(work, 40))

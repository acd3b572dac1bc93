"""What is done beside requests gives way to them."""

import asyncio
import os
import sys
import threading

import pytest

from aeros_serving.models.background import NICE, Background


def niceness():
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def of_another():
    """Return the niceness of a thread that this one starts."""
    found = []
    thread = threading.Thread(target=lambda: found.append(niceness()))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.skipif(sys.platform != "linux", reason="threads have no niceness of their own")
def test_the_thread_is_nice_and_so_are_those_it_starts():
    async def work():
        background = Background()
        found = [await background.run(niceness), await background.run(of_another)]
        background.close()
        return found

    before = niceness()
    assert asyncio.run(work()) == [min(before + NICE, 19)] * 2
    assert niceness() == before


def test_results_and_errors_come_back_and_work_is_done_in_order():
    async def work():
        background, done = Background(), []
        await asyncio.gather(*(background.run(done.append, n) for n in range(5)))
        with pytest.raises(ZeroDivisionError):
            await background.run(divmod, 1, 0)
        found = await background.run(divmod, 7, 2)
        background.close()
        return done, found

    assert asyncio.run(work()) == ([0, 1, 2, 3, 4], (3, 1))

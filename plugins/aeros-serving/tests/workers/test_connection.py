"""Messages with open files between two processes."""

import asyncio
import os
import socket
from pathlib import Path

import pytest

from aeros_serving.workers.channel import Channel
from aeros_serving.workers.connection import Connection


def descriptors():
    return {path.name for path in Path("/proc/self/fd").iterdir()}


def paired():
    return [Connection(end) for end in socket.socketpair()]


class Written:
    """An open file that is closed with the object."""

    def __init__(self, text):
        self.descriptor = os.memfd_create("test")
        os.write(self.descriptor, text)

    def fileno(self):
        return self.descriptor

    def __del__(self):
        os.close(self.descriptor)


def content(descriptor):
    found = os.pread(descriptor, 100, 0)
    os.close(descriptor)
    return found


def test_messages_arrive_whole_and_in_order_with_their_files():
    async def scenario():
        one, other = paired()
        messages = [(b"a" * 3_000_000, b"1"), (b"", None), (b"b", b"2"), (b"c" * 100_000, b"3")]
        for message, text in messages:
            one.send(message, [] if text is None else [Written(text)])
        for message, text in messages:
            found, files = await asyncio.wait_for(other.receive(), 30)
            assert found == message
            assert [content(file) for file in files] == ([] if text is None else [text])
        one.close()
        other.close()

    asyncio.run(scenario())


def test_files_that_are_not_received_are_closed():
    async def scenario():
        before = descriptors()
        one, other = paired()
        for _ in range(3):
            one.send(b"x", [Written(b"y")])
        _, (taken,) = await other.receive()
        os.close(taken)
        one.close()
        other.close()
        assert descriptors() == before

    asyncio.run(scenario())


@pytest.mark.parametrize("closed", [0, 1])
def test_a_receiver_learns_that_either_end_has_closed(closed):
    async def scenario():
        ends = paired()
        waiting = asyncio.create_task(ends[0].receive())
        await asyncio.sleep(0.01)
        ends[closed].close()
        with pytest.raises(EOFError):
            await asyncio.wait_for(waiting, 30)
        for end in ends:
            end.close()
            end.send(b"lost")

    asyncio.run(scenario())


def test_a_method_may_return_a_file():
    async def read():
        return Written(b"content")

    async def slow():
        await asyncio.sleep(0.05)
        return Written(b"late")

    async def scenario():
        before = descriptors()
        one, other = (Channel(end, {"read": read, "slow": slow}) for end in paired())
        runs = [asyncio.create_task(channel.run()) for channel in (one, other)]
        assert content(await one.call("read")) == b"content"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await one.call("slow")
        await asyncio.sleep(0.1)
        one.close()
        await asyncio.gather(*runs)
        assert descriptors() == before

    asyncio.run(scenario())

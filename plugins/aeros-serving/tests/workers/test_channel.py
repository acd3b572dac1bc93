"""Calls between two processes: either side calls, errors keep their kind, an end is noticed."""

import asyncio
import socket

import pytest

from aeros_core.errors import AerosError, ConfigError, PluginError, RepositoryError
from aeros_serving.protocol.errors import Damaged, Refused, Unknown
from aeros_serving.workers.channel import Channel
from aeros_serving.workers.connection import Connection
from aeros_serving.workers.errors import WorkerGone, error_from_json, error_to_json


async def connected(one, other):
    """Return two channels that are connected, with handlers of each, running."""
    pair = socket.socketpair()
    channels = []
    for end, handlers in zip(pair, (one, other), strict=True):
        channels.append(Channel(Connection(end), handlers))
    runs = [asyncio.create_task(channel.run()) for channel in channels]
    return *channels, runs


async def add(a, b):
    return a + b


def test_both_ends_call_each_other():
    async def greet(name):
        return f"hello {name}"

    async def scenario():
        one, other, runs = await connected({"add": add}, {"greet": greet})
        assert await one.call("greet", name="x" * 200_000) == "hello " + "x" * 200_000
        assert await other.call("add", a=1, b=[2][0]) == 3
        one.close()
        await asyncio.gather(*runs)

    asyncio.run(scenario())


def test_replies_find_their_calls_in_any_order():
    async def wait(seconds):
        await asyncio.sleep(seconds)
        return seconds

    async def scenario():
        one, _, runs = await connected({}, {"wait": wait})
        found = await asyncio.gather(*(one.call("wait", seconds=s) for s in (0.1, 0.0, 0.05)))
        assert found == [0.1, 0.0, 0.05]
        one.close()
        await asyncio.gather(*runs)

    asyncio.run(scenario())


def test_calls_that_wait_learn_that_the_other_end_has_gone():
    async def hang():
        await asyncio.sleep(60)

    async def scenario():
        one, other, runs = await connected({}, {"hang": hang})
        waiting = asyncio.create_task(one.call("hang"))
        await asyncio.sleep(0.05)
        other.close()
        with pytest.raises(WorkerGone):
            await waiting
        await asyncio.gather(*runs)
        with pytest.raises(WorkerGone):
            await one.call("hang")

    asyncio.run(scenario())


def test_a_call_that_is_cancelled_disturbs_no_other():
    async def slow():
        await asyncio.sleep(0.1)
        return "late"

    async def scenario():
        one, _, runs = await connected({}, {"slow": slow, "add": add})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await one.call("slow")
        await asyncio.sleep(0.15)
        assert await one.call("add", a=1, b=1) == 2
        one.close()
        await asyncio.gather(*runs)

    asyncio.run(scenario())


def test_an_error_is_raised_at_the_caller():
    async def fail():
        raise RepositoryError("version 3 is damaged", hint="aeros models verify toy:3")

    async def scenario():
        one, _, runs = await connected({}, {"fail": fail})
        with pytest.raises(RepositoryError) as error:
            await one.call("fail")
        assert (error.value.asked, error.value.hint) == (
            "version 3 is damaged",
            "aeros models verify toy:3",
        )
        one.close()
        await asyncio.gather(*runs)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("a", exists="b", provider="c", hint="d"),
        PluginError("not installed", hint="pip install it"),
        Unknown("model 'x' is not loaded"),
        Damaged("version 1"),
        WorkerGone(),
    ],
)
def test_errors_keep_their_kind_and_their_words(error):
    found = error_from_json(error_to_json(error))
    assert (type(found), str(found)) == (type(error), str(error))


class Local(AerosError):
    """An error that a plugin of one process alone has."""


def test_an_error_of_a_kind_that_is_not_known_is_the_nearest(monkeypatch):
    data = error_to_json(Local("mine"))
    assert type(error_from_json(data)) is Local
    assert type(error_from_json(data | {"type": "Elsewhere"})) is AerosError
    found = error_from_json({"type": "Elsewhere", "text": "x"})
    assert (type(found), str(found)) == (Refused, "x")


def test_any_other_error_is_refused_and_logged_where_it_happened(caplog):
    found = error_from_json(error_to_json(ZeroDivisionError("by zero")))
    assert (type(found), str(found)) == (Refused, "ZeroDivisionError: by zero")
    assert "a model failed" in caplog.text

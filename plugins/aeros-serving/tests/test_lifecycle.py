"""A server ends when it is asked to, whatever its threads do."""

import asyncio
import signal
import threading

import pytest

from aeros_core.errors import ConfigError
from aeros_serving import lifecycle
from aeros_serving.config import Serving


class Fake:
    """A server whose start or end is as a test wants it."""

    def __init__(self, start=None, done=True):
        self.options, self.http_port, self.grpc_port = Serving(), 1, 2
        self.ended, self.failure = asyncio.Event(), None
        self.live_versions, self.processes, self.steps = {}, [], []
        self._start, self._done = start, done

    async def start(self, models):
        self.steps.append("start")
        if self._start is not None:
            await self._start()
        self.steps.append("started")
        self.ended.set()

    async def stop(self):
        self.steps.append("stop")
        return self._done


class Exited(Exception):
    """Stands for the end of the process."""


@pytest.fixture(autouse=True)
def signals(monkeypatch):
    """Record an immediate end; leave handlers of signals, and the garbage collector, alone."""

    def exit_(code):
        raise Exited(code)

    monkeypatch.setattr(lifecycle.os, "_exit", exit_)
    monkeypatch.setattr(lifecycle.logging, "shutdown", lambda: None)
    monkeypatch.setattr(lifecycle, "settle", lambda: None)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_server_starts_and_stops(capsys):
    server = Fake()
    lifecycle.run(server, ["toy"])
    assert server.steps == ["start", "started", "stop"]
    assert "ending: what was asked is answered first" in capsys.readouterr().out


def test_threads_that_do_not_return_are_left_behind(caplog):
    with pytest.raises(Exited, match="0"):
        lifecycle.run(Fake(done=False), ["toy"])
    assert "a model still computes or is being loaded; the process ends without it" in caplog.text


def test_a_signal_while_models_are_loaded_ends_the_server():
    async def start():
        threading.Timer(0.1, signal.raise_signal, [signal.SIGTERM]).start()
        await asyncio.sleep(60)

    server = Fake(start)
    with pytest.raises(Exited, match="0"):
        lifecycle.run(server, ["toy"])
    assert server.steps == ["start", "stop"]


def test_an_error_of_the_start_is_raised():
    async def start():
        raise ConfigError("no such model")

    server = Fake(start)
    with pytest.raises(ConfigError, match="no such model"):
        lifecycle.run(server, ["toy"])
    assert server.steps == ["start"]

"""Starts commands of this Python in processes that have the imports behind them."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

from python_server import REQUEST, STATUS

SERVER = Path(__file__).with_name("python_server.py")
COLD = "AEROS_TEST_COLD"
"""Environment variable: where it is set, each command is started anew, as a user starts it."""


class Server:
    """The program that forks; started with the first command, ended with these tests."""

    def __init__(self) -> None:
        self._line: socket.socket | None = None
        self._process: subprocess.Popen | None = None
        self._lock = threading.Lock()

    def start(self, words: list[str], cwd: str, env: dict[str, str], streams: list[int]) -> int:
        """Start a command; return the file from which its process and its status are read."""
        request = json.dumps({"words": words, "cwd": cwd, "env": env}).encode()
        assert len(request) < REQUEST
        found, report = os.pipe()
        try:
            with self._lock:
                socket.send_fds(self._running(), [request], [*streams, report])
        finally:
            os.close(report)
        return found

    def _running(self) -> socket.socket:
        if self._line is None:
            self._line, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with there:
                self._process = subprocess.Popen(
                    [sys.executable, str(SERVER), str(there.fileno())], pass_fds=[there.fileno()]
                )
        return self._line


SERVED = Server()


class Command:
    """A process of the server, with what tests use of `subprocess.Popen`."""

    def __init__(self, words, cwd, env, stdin, stdout, stderr) -> None:
        self.args, self.returncode = words, None
        self.stdout = self.stderr = None
        with _Streams() as streams:
            files = [streams.of(stdin, os.O_RDONLY)]
            files.append(streams.of(stdout, os.O_WRONLY))
            merged = stderr == subprocess.STDOUT
            files.append(files[-1] if merged else streams.of(stderr, os.O_WRONLY))
            self._report = SERVED.start(words, str(cwd or Path.cwd()), env, files)
        (self.pid,) = STATUS.unpack(self._read())
        if stdout == subprocess.PIPE:
            self.stdout = streams.readable.pop(0)
        if stderr == subprocess.PIPE:
            self.stderr = streams.readable.pop(0)

    def _read(self) -> bytes:
        data = os.read(self._report, STATUS.size)
        assert len(data) == STATUS.size, "the server of commands has ended"
        return data

    def poll(self):
        """Return its status, None while it runs."""
        return self._wait(0)

    def wait(self, timeout=None):
        """Return its status once it has ended."""
        if self._wait(timeout) is None:
            raise subprocess.TimeoutExpired(self.args, timeout)
        return self.returncode

    def _wait(self, timeout):
        if self.returncode is None and select.select([self._report], [], [], timeout)[0]:
            (self.returncode,) = STATUS.unpack(self._read())
            os.close(self._report)
        return self.returncode

    def communicate(self, timeout=None):
        """Return all that it writes into pipes, once it has ended."""
        said = {}

        def read(name, stream):
            with stream:
                said[name] = stream.read()

        pairs = [("out", self.stdout), ("err", self.stderr)]
        readers = [
            threading.Thread(target=read, args=(name, stream), daemon=True)
            for name, stream in pairs
            if stream is not None and not stream.closed
        ]
        for one in readers:
            one.start()
        self.wait(timeout)
        for one in readers:
            one.join(timeout)
        return said.get("out"), said.get("err")

    def send_signal(self, number):
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
        self.wait()

    def close(self):
        """Close the pipes of which nothing more is read."""
        for stream in (self.stdout, self.stderr):
            if stream is not None:
                stream.close()

    __del__ = close


class _Streams:
    """Files that a process gets, closed here once it has them."""

    def __init__(self) -> None:
        self._ours: list[int] = []
        self.readable: list = []

    def of(self, wanted, mode: int) -> int:
        if wanted is None:
            return 0 if mode == os.O_RDONLY else 1
        if wanted == subprocess.DEVNULL:
            self._ours.append(os.open(os.devnull, mode))
        elif wanted == subprocess.PIPE:
            read, write = os.pipe()
            self.readable.append(os.fdopen(read, encoding="utf-8"))
            self._ours.append(write)
        else:
            return wanted.fileno()
        return self._ours[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for each in self._ours:
            os.close(each)


def python(words, *, cwd=None, env=None, stdin=subprocess.DEVNULL, stdout=None, stderr=None):
    """Start this Python with ``-c CODE …`` or ``-m MODULE …``; return its process.

    It is forked from one that has imported what commands need. With AEROS_TEST_COLD set, each
    is started anew.
    """
    words = [str(word) for word in words]
    told = dict(os.environ if env is None else env)
    if os.environ.get(COLD):
        return subprocess.Popen([sys.executable, *words], cwd=cwd, env=told, stdin=stdin,
                                stdout=stdout, stderr=stderr, text=True)  # fmt: skip
    return Command(words, cwd, told, stdin, stdout, stderr)


def completed(words, *, timeout=300, **options):
    """Run this Python to its end; return what `subprocess.run` returns."""
    process = python(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    try:
        out, err = process.communicate(timeout)
    finally:
        process.kill()
    return subprocess.CompletedProcess(words, process.returncode, out, err)

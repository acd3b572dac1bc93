"""Executors behind a proxy or a tunnel, and with a clock that is wrong: waited for, and named."""

import contextlib
import socket
import sys
import threading
import time

import pytest

pytest.importorskip("aeros_flower")

from aeros_core.errors import ConfigError
from aeros_flower.executor.executor import Executor
from aeros_flower.executor.fleet_client import FleetClient, Lost
from aeros_flower.http.access_control import AccessControl
from aeros_flower.http.server import listen
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.security.certificates import Authority
from aeros_flower.security.keys import Admitted
from aeros_flower.security.probe import greet
from aeros_flower.superlink.embedded import EmbeddedSuperLink

HTML = b"HTTP/1.1 %s\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>"


def answers(text):
    """Return what reads a request, answers it with this, and hangs up."""

    def does(line):
        line.settimeout(5)
        line.recv(65536)
        line.sendall(text)

    return does


def resets(line):
    line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


AWAY = {
    "closes": lambda line: None,
    "closes when it is spoken to": lambda line: line.recv(65536),
    "resets": resets,
    "half an answer": answers(b"HTTP/1.1 2"),
    "half a body": answers(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nhalf"),
    "502": answers(HTML % b"502 Bad Gateway"),
    "503": answers(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
    "504": answers(HTML % b"504 Gateway Timeout"),
    "401 page": answers(HTML % b"401 Unauthorized"),
    "403 page": answers(HTML % b"403 Forbidden"),
    "a page": answers(HTML % b"200 OK"),
    "no such page": answers(HTML % b"404 Not Found"),
    "elsewhere": answers(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"),
    "says nothing": lambda line: time.sleep(0.3),
    "ssh": lambda line: line.sendall(b"SSH-2.0-OpenSSH_9.6\r\n"),
}
"""What a proxy does while the controller behind it is away."""


class Proxy:
    """Passes connections on to a port; while nobody is behind it, it does something else."""

    def __init__(self):
        self._door = socket.create_server(("127.0.0.1", 0))
        self.address = "{}:{}".format(*self._door.getsockname())
        self.behind, self.away = None, AWAY["closes"]
        self._lines = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                line, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._attend, args=(line,), daemon=True).start()

    def _attend(self, line):
        with line, contextlib.suppress(OSError):
            if self.behind is None:
                self.away(line)
                return
            with socket.create_connection(("127.0.0.1", self.behind), 5) as there:
                self._lines += [line, there]
                back = threading.Thread(target=self._pass, args=(there, line))
                back.start()
                self._pass(line, there)
                back.join()

    @staticmethod
    def _pass(one, other):
        one.settimeout(None)
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self):
        """Lose the controller: what is open is closed."""
        self.behind = None
        for line in self._lines:
            with contextlib.suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)
        self._lines.clear()

    def close(self):
        self.cut()
        self._door.close()


@pytest.fixture
def proxy():
    made = Proxy()
    yield made
    made.close()


@pytest.fixture
def link():
    made = EmbeddedSuperLink(listen("127.0.0.1", 0))
    yield made
    made.close()


def until(done, seconds=300):
    ends = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.02)


class Running:
    """An executor in a thread, what it says, and how it ends."""

    def __init__(self, connect, folder, wait=300.0):
        self.said, self.ended = [], None
        self.executor = Executor(
            ExecutorInfo("edge", state=folder), connect, self.said.append, wait
        )
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        try:
            self.executor.run()
        except Exception as error:
            self.ended = error

    def close(self):
        self.executor.stop()
        self.thread.join(300)


@pytest.fixture
def run(proxy, tmp_path):
    """A function that starts an executor behind the proxy."""
    running = []

    def start(wait=300.0):
        def connect():
            if why := greet(proxy.address, None, insecure=True, seconds=1.0):
                raise Lost(why)
            return FleetClient(proxy.address, insecure=True)

        running.append(Running(connect, tmp_path, wait))
        return running[-1]

    yield start
    for one in running:
        one.close()


def port_of(link):
    return int(link.address.rpartition(":")[2])


def cases(names, quick):
    """Return each of these; all but the quick ones are left to the soak."""
    return [
        pytest.param(name, marks=[] if name in quick else pytest.mark.soak)
        for name in sorted(names)
    ]


@pytest.mark.parametrize("away", cases(AWAY, {"403 page", "ssh"}))
def test_once_connected_a_proxy_whose_controller_is_away_is_waited_for(proxy, link, run, away):
    proxy.behind = port_of(link)
    edge = run()
    until(lambda: edge.said == ["executor edge is connected"])
    proxy.away = AWAY[away]
    proxy.cut()
    until(lambda: any("waits for the controller" in line for line in edge.said))
    time.sleep(1.5)
    assert edge.ended is None, edge.ended
    proxy.behind = port_of(link)
    until(lambda: edge.said[-1] == "executor edge is connected")


@pytest.mark.parametrize("away", cases(AWAY.keys() - {"ssh"}, {"closes"}))
def test_a_proxy_whose_controller_comes_later_is_waited_for(proxy, link, run, away):
    proxy.away = AWAY[away]
    edge = run()
    until(lambda: edge.said)
    assert edge.said[0].startswith("executor edge waits for the controller (")
    time.sleep(1.0)
    assert edge.ended is None, edge.ended
    proxy.behind = port_of(link)
    until(lambda: edge.said[-1] == "executor edge is connected")


def test_what_speaks_something_else_at_first_is_named(proxy, run):
    proxy.away = AWAY["ssh"]
    edge = run()
    until(lambda: edge.ended)
    assert isinstance(edge.ended, ConfigError)
    assert "does not speak plain HTTP: it says 'SSH-2.0-Open'" in str(edge.ended)


def test_the_command_waits_behind_a_proxy_and_gives_up_in_time(aeros, proxy):
    err = aeros.apart("executor", proxy.address, "--name", "edge", "--wait", "4", code=1)
    assert "waits for the controller (127.0.0.1:" in err
    assert "hangs up without a word, as a proxy does whose controller is away)" in err
    assert "executor edge found no controller for 4 s" in err
    assert "plain HTTP" not in err
    assert "Traceback" not in err


def test_a_task_goes_on_when_the_tunnel_is_back(aeros, proxy, port):
    words = ("task.rounds=12", "task.name=tunnel")
    process = aeros.start("executor", proxy.address, "--name", "edge",
                          log=aeros.folder / "edge.log")  # fmt: skip
    log = aeros.folder / "run.log"
    run = aeros.start("run", "deployment=flower", f"controller.port={port}",
                      "controller.wait=300", *words, log=log)  # fmt: skip
    try:
        until(lambda: "waiting at" in log.read_text(), 200)
        proxy.behind = port
        until(lambda: "round 3/" in log.read_text(), 200)
        proxy.cut()
        until(lambda: "waits for the controller" in (aeros.folder / "edge.log").read_text(), 200)
        proxy.behind = port
        assert run.wait(300) == 0, log.read_text()
    finally:
        for one in (run, process):
            one.kill()
            one.wait(300)
    over = aeros.result()["model"]["digest"]
    aeros("run", *words, "repository.path=local")
    assert over == aeros.result()["model"]["digest"]


# ---------------------------------------------------------------- clocks

OFF = """
import sys, time
from datetime import timedelta
from pathlib import Path
from flwr.supernode import node_auth_http_interceptor as signing

real = signing.now
signing.now = lambda: real() + timedelta(seconds=float(Path("off").read_text() or 0))
sys.argv[1:2] = []
from aeros_core.cli import main
sys.exit(main.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    made = Authority(tmp_path_factory.mktemp("keys"))
    made.make([], days=1)
    made.node("edge")
    return made


@pytest.mark.parametrize("seconds", [900, pytest.param(-900, marks=pytest.mark.soak)])
def test_a_clock_that_is_off_is_named_and_waited_for(home, logged, tmp_path, seconds):
    found = []
    admitted = Admitted(home.nodes, every=0)

    def enrol(key, name):
        found[0].enrol(key, name)

    link = EmbeddedSuperLink(
        listen("127.0.0.1", 0), None, lambda app: AccessControl(app, admitted=admitted, enrol=enrol)
    )
    found.append(link)
    off = tmp_path / "off"
    off.write_text(str(seconds))
    words = [sys.executable, "-c", OFF, "", "executor", link.address, "--insecure", "--name",
             "edge", "--key", str(home.folder / "edge.key")]  # fmt: skip
    try:
        process, log = logged(words, "edge")
        until(lambda: "waits for the controller (this machine's clock is" in log.read_text(), 100)
        assert "the controller's, and requests are signed by time" in log.read_text()
        assert "admit" not in log.read_text()
        assert process.poll() is None
        off.write_text("0")
        until(lambda: "executor edge is connected" in log.read_text(), 100)
        assert link.nodes()
        off.write_text(str(seconds))  # and once it is connected
        until(lambda: log.read_text().count("this machine's clock") >= 3, 100)
        off.write_text("0")
        until(lambda: log.read_text().count("executor edge is connected") == 2, 100)
        assert process.poll() is None
    finally:
        link.close()

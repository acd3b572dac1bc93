"""Runs the real command line in a directory of its own."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from forked_python import completed, python

ROOT = Path(__file__).parents[2]


@dataclass
class Shell:
    """Types `aeros …` in one working directory.

    Most commands are carried out in this process, which has imported torch already; what
    listens, or is killed, has a process of its own.
    """

    folder: Path
    here: Callable

    def start(self, *words, log=None):
        """Start it; what it says goes into pipes, or into one file."""
        with log.open("w") if log else contextlib.nullcontext() as file:
            return python(
                ["-m", "aeros_core.cli.main", *words],
                cwd=self.folder,
                env={k: v for k, v in os.environ.items() if not k.startswith("AEROS_")},
                stdout=file or subprocess.PIPE,
                stderr=subprocess.STDOUT if file else subprocess.PIPE,
            )

    def __call__(self, *words, code=0):
        """Carry a command out in this process; return what it said."""
        with contextlib.chdir(self.folder):
            found, out, err = self.here(words)
        assert found == code, out + err
        return out if code == 0 else err

    def apart(self, *words, code=0):
        """Carry a command out in a process of its own; return what it said."""
        process = self.start(*words)
        out, err = process.communicate(timeout=600)
        assert process.returncode == code, out + err
        return out if code == 0 else err

    def results(self):
        """Return every result.json of a run's directory, oldest first."""
        paths = [*self.folder.glob("outputs/*/*/result.json")]
        paths += self.folder.glob("multirun/*/*/*/result.json")
        paths.sort(key=lambda path: path.stat().st_mtime_ns)
        return [json.loads(path.read_text()) for path in paths]

    def result(self):
        """Return the newest result.json."""
        return self.results()[-1]

    def kill_after(self, rounds, *words):
        """Run a task and SIGKILL it once so many rounds are reported."""
        process = self.start("run", *words)
        for line in process.stdout:
            if line.startswith(f"round {rounds}/"):
                break
        time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()
        assert process.returncode == -signal.SIGKILL


class Serving:
    """`aeros serve` on free ports, its words in a file; ends with SIGTERM."""

    def __init__(self, aeros, number, *words):
        self.log = aeros.folder / f"serve-{number}.log"
        ports = ["serving.http_port=0", "serving.grpc_port=0"]
        ports = [port for port in ports if not any(w.startswith(port[:-1]) for w in words)]
        self.process = aeros.start("serve", *words, *ports, log=self.log)
        end, found = time.monotonic() + 120, []
        while len(found) < 2:
            assert self.process.poll() is None, self.said
            assert time.monotonic() < end, self.said
            time.sleep(0.02)
            found = re.findall(r"^(?:REST|gRPC) on .*:(\d+)$", self.said, re.MULTILINE)
        self.http, self.grpc = (f"127.0.0.1:{port}" for port in found)

    @property
    def said(self):
        return self.log.read_text()

    @property
    def status(self):
        """What the system tells of its process."""
        return Path(f"/proc/{self.process.pid}/status").read_text()

    def end(self):
        """Return its status and all that it has said, once what was asked is answered."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=120), self.said


@pytest.fixture
def serve(aeros):
    """A function that starts a server: ``serve("model=digits")``; all are ended afterwards."""
    started = []

    def start(*words):
        started.append(Serving(aeros, len(started), *words))
        return started[-1]

    yield start
    for one in started:
        one.process.kill()
        one.process.wait(timeout=300)


RAW = """
import sys, numpy as np
from aeros_core.config import build, store
from aeros_core.plugins import discovery

registry = discovery.discover()
cfg = store.plain(store.load(sys.argv[2:], registry))
name, source = next(iter(cfg["transformer"].items()))
test = build.build_part(registry, "transformer", source, name).load(sys.argv[1][:-4])
np.savez(sys.argv[1], **test.batch())
"""


@pytest.fixture
def raw_test(aeros):
    """A function that returns a split as its source delivers it, before any step."""
    import numpy as np

    def loaded(*words, split="test"):
        path = aeros.folder / f"{split}.npz"
        completed(["-c", RAW, path.name, *words], cwd=aeros.folder).check_returncode()
        with np.load(path) as held:
            return dict(held)

    return loaded


@pytest.fixture(scope="session")
def digits():
    """Words of a small task whose result says whether a round was lost or counted twice."""
    return (
        "experiment=null", "repository=zarr", "transformer=[blobs,even,scale]", "trainer=linear",
        "trainer.pause=0.05", "collector=mean", "collector.momentum=0.9", "task.ordered=true",
        "task.rounds=4", "task.name=digits",
    )  # fmt: skip


@pytest.fixture
def port():
    """A port that is free."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _interruptible():
    """Let SIGINT through in a child: whoever runs the tests in the background ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(environment, tmp_path):
    """A function that starts one command in a process of its own; ends what still runs."""
    running = []

    def go(*words, names=("toy",), program=("-m", "aeros_core.cli.main"), **more):
        told = environment(*names, **more)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        running.append(python([*program, *words], cwd=tmp_path, env=told, **pipes))
        return running[-1]

    yield go
    for process in running:
        if process.poll() is None:
            process.kill()
        with process:  # its pipes are closed
            pass


@pytest.fixture
def logged(tmp_path):
    """A function that starts a program, killed afterwards; returns the process and its log."""
    running = []

    def start(words, name="run", env=None):
        log = tmp_path / f"{name}.log"
        with log.open("w") as said:
            where = {"cwd": tmp_path, "env": env, "stdout": said, "stderr": said}
            if words[0] == sys.executable:
                process = python(words[1:], **where)
            else:
                process = subprocess.Popen(
                    words, **where, stdin=subprocess.DEVNULL,
                    preexec_fn=_interruptible,  # noqa: PLW1509 - no threads run here
                )  # fmt: skip
        running.append(process)
        return process, log

    yield start
    for process in running:
        process.kill()
        process.wait(300)


@pytest.fixture
def aeros(hydra, monkeypatch, tmp_path, capfd):
    from hydra.core.hydra_config import HydraConfig

    from aeros_core.cli import main

    for name in [name for name in os.environ if name.startswith("AEROS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "argv", ["aeros"])
    ends = signal.getsignal(signal.SIGTERM)

    def here(words):
        capfd.readouterr()
        HydraConfig.instance().cfg = None
        code = main.main(words)
        return code, *capfd.readouterr()

    yield Shell(tmp_path, here)
    signal.signal(signal.SIGTERM, ends)


@pytest.fixture
def real_data():
    """The directory of real data sets; tests that use it skip where it is absent."""
    folder = Path(os.environ.get("AEROS_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set AEROS_DATA")
    return folder

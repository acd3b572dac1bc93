"""Fakes and fixtures: broken distributions, the toy plugin's parts, commands."""

import contextlib
import importlib
import logging
import os
import signal
import subprocess
import sys
from collections import deque
from dataclasses import replace
from pathlib import Path

import numpy as np
import pluggy
import pytest
from hypothesis import HealthCheck, settings

from aeros_core.hookspecs import Callbacks
from aeros_core.parameters import Parameters
from aeros_core.plugins import discovery
from aeros_core.reporting import curves
from aeros_core.roles.components import Components
from aeros_core.tasks.control import Control

settings.register_profile(
    "core", max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("brief", settings.get_profile("core"), max_examples=8)
PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "core")
settings.load_profile(PROFILE)

HERE = Path(__file__).parent
DIST = HERE / "dist"

TOY = (
    "experiment=null",
    "repository=files",
    "transformer=[blobs,even,scale]",
    "trainer=linear",
    "collector=mean",
)
"""What makes a whole task of the toy plugin's parts."""


@pytest.fixture
def install(monkeypatch):
    """A function that installs fake distributions for this test, and returns the registry."""

    def installed(*names):
        for name in names:
            monkeypatch.syspath_prepend(DIST / name)
        monkeypatch.setenv("AEROS_PLUGINS", ",".join(names))
        return discovery.discover()

    yield installed
    for name in [n for n in sys.modules if n.startswith(("misfit", "clash_", "ships_conf"))]:
        del sys.modules[name]


@pytest.fixture
def distribution(tmp_path_factory, monkeypatch):
    """A function that installs a distribution of one module, called as its plugin.

    Args of the function:
        name: Of the distribution ``name-…`` and, with _ for -, of its module and plugin.
        code: Source of the module.
        entries: Text of ``entry_points.txt``, where it is not the plugin alone.
    """
    modules = []

    def installed(name, code, entries=None):
        module = name.replace("-", "_")
        folder = tmp_path_factory.mktemp(module)
        info = folder / f"{module}-2.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.0\n")
        entries = f"[aeros]\n{module} = {module}\n" if entries is None else entries
        (info / "entry_points.txt").write_text(entries)
        (folder / f"{module}.py").write_text(code)
        monkeypatch.syspath_prepend(folder)
        chosen = os.environ.get("AEROS_PLUGINS", "")
        monkeypatch.setenv("AEROS_PLUGINS", f"{chosen},{module}".lstrip(","))
        modules.append(module)
        return folder

    yield installed
    for name in modules:
        sys.modules.pop(name, None)


@pytest.fixture
def toy(install):
    """The registry with the toy plugin alone."""
    return install("toy")


@pytest.fixture
def toys(toy):
    """The module of the toy plugin's parts."""
    return importlib.import_module("toy_parts")


class Heard:
    """Listens to every event and keeps ``(name, arguments)``."""

    def __init__(self):
        self.events = []

    def __getattr__(self, name):
        if not name.startswith("aeros_"):
            raise AttributeError(name)
        return lambda **arguments: self.events.append((name, arguments))

    def names(self):
        return [name.removeprefix("aeros_") for name, _ in self.events]

    def of(self, name):
        return [arguments for event, arguments in self.events if event == f"aeros_{name}"]


@pytest.fixture
def heard():
    """A listener that keeps what it hears."""
    return Heard()


LINEAR = {"lr": 0.5, "pause": 0.0, "fail": [], "poison": [], "features": None, "model": None}


@pytest.fixture
def linear(toys):
    """A function that makes the toy trainer."""
    return lambda **options: toys.Linear(**LINEAR | options)


@pytest.fixture
def parts(toys, tmp_path, heard):
    """A function that returns `Components` of toy parts; options replace parts."""

    def make(*, momentum=0.0, examples=240, clients=6, **changed):
        trained = {k: changed.pop(k) for k in LINEAR.keys() & changed.keys()}
        made = Components(
            collector=toys.Mean(momentum=momentum),
            repository=toys.Files(path=tmp_path / "store"),
            trainer=toys.Linear(**LINEAR | trained),
            transformers={
                "blobs": toys.Blobs(examples=examples, nan=False),
                "even": toys.Even(clients=clients),
                "scale": toys.Scale(),
            },
            events=heard,
            config={},
            identity="same",
            versions={"aeros-core": "0.1.0"},
            control=Control(),
        )
        return replace(made, **changed)

    return make


def events(*listeners):
    """Return real event hooks with these listeners."""
    manager = pluggy.PluginManager("aeros")
    manager.add_hookspecs(Callbacks)
    for listener in listeners:
        manager.register(listener)
    return manager.hook


@pytest.fixture
def listening():
    """A function that returns real event hooks with these listeners."""
    return events


class Scripted:
    """Nodes whose replies are written beforehand, in the order of arrival."""

    def __init__(self, *replies, population=3):
        self.replies = deque(replies)
        self.population = population
        self.timeouts = []
        self.dispatched = []
        self.abandoned = 0

    def __len__(self):
        return self.population

    def name(self, number):
        return f"client-{number}"

    def sizes(self, numbers):
        return np.zeros(len(numbers), "int64")

    def dispatch(self, instructions):
        self.dispatched.append(list(instructions))

    def receive(self, timeout):
        self.timeouts.append(timeout)
        return self.replies.popleft() if self.replies else None

    def abandon(self):
        self.abandoned += 1


@pytest.fixture
def scripted():
    """The class of nodes whose replies are written beforehand."""
    return Scripted


@pytest.fixture
def flat():
    """A function that returns parameters of one tensor ``w`` with these float32 values."""

    def make(*values):
        return Parameters.of({"w": np.array(values, dtype="float32")})

    return make


# ---------------------------------------------------------------- commands


def _branches(node):
    """Return a copy of nested dictionaries, what lies in them left as it is."""
    return {k: _branches(v) for k, v in node.items()} if isinstance(node, dict) else node


@pytest.fixture
def hydra():
    """Puts back afterwards what Hydra and logging keep for a whole process."""
    from hydra.core.config_store import ConfigStore
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.hydra_config import HydraConfig
    from hydra.core.plugins import Plugins

    Plugins.instance()  # stores what Hydra's own plugins offer, once a process
    stored = _branches(ConfigStore.instance().repo)
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    ConfigStore.instance().repo = stored
    GlobalHydra.instance().clear()
    HydraConfig.instance().cfg = None
    for handler in [h for h in root.handlers if h not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(level)


@pytest.fixture
def drawn():
    """Lets `aeros` draw learning curves, which takes longer than the toy task."""


@pytest.fixture
def aeros(hydra, install, monkeypatch, tmp_path, capfd, request):
    """A function that runs one command in this process, in an empty directory.

    Returns a `CompletedProcess`. An empty file stands for a learning curve, unless the test
    asks for `drawn`.
    """
    from hydra.core.hydra_config import HydraConfig

    from aeros_core.cli import main

    install("toy")
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr(curves, "draw", lambda runs, path, title: path.touch())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["aeros"])
    monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
    before = signal.getsignal(signal.SIGTERM)

    def run(*words):
        capfd.readouterr()
        HydraConfig.instance().cfg = None
        code = main.main(words)
        captured = capfd.readouterr()
        return subprocess.CompletedProcess(words, code, captured.out, captured.err)

    yield run
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(scope="session")
def toy_words():
    """What makes a whole task of the toy plugin's parts, on a command line."""
    return TOY


@pytest.fixture(scope="session")
def environment():
    """A function that returns the environment of a process with these fake distributions."""

    def make(*names, **more):
        paths = [str(DIST / name) for name in names]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AEROS_", "PYTHON"))}
        told = {"PYTHONPATH": os.pathsep.join(paths), "AEROS_PLUGINS": ",".join(names), **more}
        return clean | {name: value for name, value in told.items() if value is not None}

    return make


def _interruptible():
    """Let SIGINT through in a child: whoever runs the tests in the background ignores it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def start(environment, tmp_path):
    """A function that starts one command in a process of its own; ends what still runs."""
    running = []

    def go(*words, names=("toy",), program=("-m", "aeros_core.cli.main"), **more):
        process = subprocess.Popen(
            [sys.executable, *program, *words],
            cwd=tmp_path,
            env=environment(*names, **more),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=_interruptible,  # noqa: PLW1509 - no threads run here
        )
        running.append(process)
        return process

    yield go
    for process in running:
        if process.poll() is None:
            process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):  # what it began may hold a pipe
            process.communicate(timeout=300)


@pytest.fixture
def command(start):
    """A function that runs one command in a process of its own, to its end."""

    def run(*words, **options):
        process = start(*words, **options)
        out, err = process.communicate(timeout=300)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    return run

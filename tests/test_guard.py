import importlib
import sys

import pytest
from omegaconf import OmegaConf

from aeros_core import guard
from aeros_core.errors import ConfigError

TRAP = """\
from pathlib import Path

Path("caught").write_text("foreign code ran")
stream = None


def bite(*args, **options):
    return None
"""


@pytest.fixture
def trapped(aeros, toy_words, tmp_path, monkeypatch):
    """A function that runs a task on a stranger's files, and tells whether their code ran."""
    (tmp_path / "trap.py").write_text(TRAP)
    monkeypatch.syspath_prepend(tmp_path)

    def run(files, *words):
        for name, text in files.items():
            path = tmp_path / "strange" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        folder = ["--config-dir", "strange"] if files else []
        done = aeros("run", *toy_words, "task.rounds=1", *folder, *words)
        return done, (tmp_path / "caught").exists()

    yield run
    sys.modules.pop("trap", None)


LAUNCHER = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


def experiment(text):
    return {"experiment/e.yaml": f"# @package _global_\n{text}"}


def handler(text, whose="job"):
    lines = f"version: 1\nroot: {{handlers: [h]}}\nhandlers: {{h: {text}}}"
    return {f"hydra/{whose}_logging/j.yaml": lines}


CALLBACK = "hydra: {callbacks: {x: {_target_: trap.bite}}}"
HIDDEN = "mine: {_target_: trap.bite}"

ATTACKS = {
    "a callback on the command line": ({}, ["+hydra.callbacks.x._target_=trap.bite"]),
    "a callback in an experiment": (experiment(CALLBACK), ["experiment=e"]),
    "a callback behind an interpolation": (
        experiment(HIDDEN + "\nhydra: {callbacks: {x: '${mine}'}}"),
        ["experiment=e"],
    ),
    "a launcher": ({"hydra/launcher/l.yaml": "_target_: trap.bite"}, ["-m", "hydra/launcher=l"]),
    "a sweeper": ({"hydra/sweeper/s.yaml": "_target_: trap.bite"}, ["-m", "hydra/sweeper=s"]),
    "a logging factory": (handler("{(): trap.bite}"), ["hydra/job_logging=j"]),
    "a logging stream behind an interpolation": (
        handler("{class: logging.StreamHandler, stream: '${infrastructure.tier}'}"),
        ["hydra/job_logging=j", "infrastructure.tier=ext://trap.stream"],
    ),
    "Hydra's own logging": (handler("{(): trap.bite}", "hydra"), ["hydra/hydra_logging=j"]),
    "a callback in one job of a sweep": (experiment(CALLBACK), ["-m", "experiment=e,none"]),
    "logging in one job of a sweep": (
        handler("{(): trap.bite}") | experiment("defaults: [{override /hydra/job_logging: j}]"),
        ["-m", "experiment=e,none"],
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_a_configuration_from_a_stranger_runs_no_code(trapped, name):
    files, words = ATTACKS[name]
    done, ran = trapped(files, *words)
    assert not ran
    assert done.returncode == 2
    assert "would run code that no plugin registered\n  exists: " in done.stderr
    assert "\n  next: write a callback as an aeros plugin" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_trap_works(trapped, tmp_path):
    importlib.import_module("trap")
    assert (tmp_path / "caught").exists()


def test_pickles_are_not_read(aeros, toy_words, tmp_path):
    (tmp_path / "job.pickle").write_bytes(b"")
    done = aeros("run", *toy_words, "--experimental-rerun", "job.pickle")
    assert done.returncode == 2
    assert "--experimental-rerun reads a pickle, which may run any code" in done.stderr
    assert "next: aeros run with the words in the run's .hydra/overrides.yaml" in done.stderr


GOOD = {
    "callbacks": {},
    "launcher": {"_target_": LAUNCHER},
    "sweeper": {"_target_": "hydra_plugins.mine.Sweeper", "study": "${hydra.job.name}"},
    "job": {"name": "toy"},
    "run": {"dir": "outputs/${nowhere}"},
    "job_logging": {
        "handlers": {
            "console": {"class": "logging.StreamHandler", "stream": "ext://sys.stderr"},
            "file": {
                "class": "logging.FileHandler",
                "filename": "${hydra.runtime.output_dir}/${hydra.job.name}.log",
            },
        },
        "filters": None,
    },
    "searchpath": ["pkg://mine"],
    "output": "???",
}


def test_what_hydra_needs_passes():
    guard.check(OmegaConf.create({"hydra": GOOD}).hydra)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("hydra.launcher._target_", "trap.bite"),
        ("hydra.launcher._target_", "${nowhere}"),
        ("hydra.launcher.part._target_", LAUNCHER),
        ("hydra.launcher.part", "${mine}"),
        ("hydra.sweeper.params", "${hydra.launcher}"),
        ("hydra.sweeper.study", "${nowhere}"),
        ("hydra.sweeper.sampler._target_", "hydra_plugins.mine.Sweeper"),
        ("hydra.callbacks.x", "${nowhere}"),
        ("hydra.callbacks.x", "anything"),
        ("hydra.job._target_", LAUNCHER),
        ("hydra.job_logging.handlers.file.filename", "${nowhere}"),
        ("hydra.job_logging.handlers.file", "${mine}"),
        ("hydra.job_logging.handlers.console.stream", "ext://trap.stream"),
        ("hydra.job_logging.handlers.file.class", "logging.handlers.SocketHandler"),
        ("hydra.hydra_logging.formatters.f.factory", "trap.bite"),
    ],
)
def test_what_could_hide_code_is_refused_by_its_path(path, value):
    config = OmegaConf.create({"hydra": GOOD, "mine": {"_target_": "trap.bite"}})
    OmegaConf.update(config, path, value, merge=False)
    with pytest.raises(ConfigError) as refused:
        guard.check(config.hydra)
    assert refused.value.asked == f"{path}={value} would run code that no plugin registered"

"""What a task locks arrives for it, by whoever delivers, and is gone afterwards."""

import importlib
import json
import re
import sys
from contextlib import contextmanager
from dataclasses import replace

import pytest

from aeros_core.config import task_algorithms
from aeros_core.config.loading.loader import GuardedLoader
from aeros_core.config.task_algorithms import Delivery, delivered
from aeros_core.errors import ConfigError, PluginError, RepositoryError
from aeros_core.plugins import discovery
from aeros_core.roles.repository import SupportsAlgorithms
from aeros_core.tasks.algorithm_pin import AlgorithmPin
from aeros_core.tasks.task import Task

PIN = {"version": "1.0", "sha256": "a" * 64}
CODE = """
from dataclasses import dataclass
from aeros_core import hookimpl

@dataclass
class Late:
    _target_: str = "toy_parts.Mean"
    momentum: float = 0.5

@hookimpl
def aeros_collectors():
    return {"late": Late}
"""


class Installer:
    """Delivers a distribution that offers ``collector=late``, whatever is locked."""

    def __init__(self, folder):
        self.folder, self.calls, self.refuses, self.open = str(folder), [], False, 0

    @property
    def known(self):
        """Tasks and repositories it was asked for; Hydra composes a run more than once."""
        return set(self.calls)

    @contextmanager
    def __call__(self, task, pins, repository):
        assert pins == {"late": AlgorithmPin(**PIN)}
        self.calls.append((task, type(repository).__name__))
        if self.refuses:
            raise RepositoryError("late:1.0 is not signed", hint="ask for one that is")
        sys.path.append(self.folder)
        self.open += 1
        try:
            yield discovery.discover()
        finally:
            self.open -= 1
            sys.path.remove(self.folder)
            sys.modules.pop("late_rule", None)


DELIVERS = """
from aeros_core import hookimpl
from aeros_core.hooks.extensions import AlgorithmDelivery

@hookimpl
def aeros_deliveries():
    return [AlgorithmDelivery(NAME, f"{__name__}:install")]
"""


@pytest.fixture
def installer(aeros, distribution, tmp_path_factory, toys, monkeypatch):
    """The object that the one plugin delivers with."""
    folder = tmp_path_factory.mktemp("late")
    (folder / "late_rule.py").write_text(CODE)
    info = folder / "late-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: late\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[aeros]\nlate = late_rule\n")
    monkeypatch.setattr(task_algorithms, "SupportsAlgorithms", toys.Files)
    distribution("toy-one", DELIVERS.replace("NAME", "'one'"))
    made = Installer(folder)
    importlib.import_module("toy_one").install = made
    return made


@pytest.fixture
def run(aeros, toy_words, tmp_path, monkeypatch):
    """A function that runs the toy task for one round, or as it is told."""
    (tmp_path / "late.lock").write_text(json.dumps({"late": PIN}))

    def typed(*words):
        monkeypatch.setenv("AEROS_PLUGINS", "toy,late,toy_one,toy_two")
        return aeros("run", *toy_words, "task.rounds=1", *words)

    return typed


def test_an_option_that_only_the_lock_brings(run, installer):
    done = run("task.algorithms=late.lock", "collector=late", "collector.momentum=0.25")
    assert (done.returncode, done.stderr) == (0, "")
    assert installer.known == {("task", "Files")}
    assert installer.open == 0
    assert GuardedLoader.arrive is None


def test_it_is_there_for_this_task_alone(run, installer):
    run("task.algorithms=late.lock", "collector=late")
    done = run("collector=late")
    assert done.returncode == 2
    assert done.stderr.startswith("aeros: collector=late does not exist\n  exists: mean\n")
    collectors = re.search(r"^collector: (.+)$", run("--help").stdout, re.MULTILINE)
    assert collectors
    assert collectors[1] == "mean"


def test_what_is_locked_arrives_though_nothing_of_it_is_chosen(run, installer):
    assert run("task.algorithms=late.lock").returncode == 0
    assert installer.known == {("task", "Files")}


def test_nobody_is_asked_where_nothing_is_locked(run, installer):
    assert run().returncode == 0
    assert run("collector=nobody").returncode == 2
    assert installer.calls == []


def test_each_job_of_a_sweep_has_its_own(run, installer):
    done = run("-m", "task.algorithms=late.lock", "collector=late,mean", "task.seed=1,2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("FINISHED after 1 round,") == 4
    assert len(installer.calls) >= 4  # verified anew for each
    assert installer.open == 0


def test_an_experiment_may_lock(run, installer, tmp_path):
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/later.yaml").write_text(
        "# @package _global_\ndefaults: [override /collector: late]\n"
        f"task: {{name: later, algorithms: {json.dumps({'late': PIN})}}}\n"
        "collector: {momentum: 0.75}\n"
    )
    words = ["--config-dir", str(tmp_path / "mine"), "experiment=later"]
    done = run(*words, "collector=late")
    assert (done.returncode, done.stderr) == (0, "")
    assert installer.known == {("later", "Files")}


def test_its_options_are_shown_and_checked(run, installer):
    words = ("task.algorithms=late.lock", "collector=late")
    shown = run(*words, "--cfg", "job", "-p", "collector")
    assert "momentum: 0.5" in shown.stdout
    for wrong, said in [
        (["collector.momentun=1"], "option 'collector.momentun' does not exist"),
        (["collector.momentum=much"], "option 'collector.momentum'"),
        (["collector=lat"], "collector=lat does not exist\n  exists: late, mean"),
    ]:
        done = run(*words, *wrong)
        assert done.returncode == 2
        assert done.stderr.startswith(f"aeros: {said}"), done.stderr


def test_what_is_refused_ends_it_with_one_message(run, installer, tmp_path):
    installer.refuses = True
    done = run("task.algorithms=late.lock", "collector=late")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "aeros: late:1.0 is not signed\n  next: ask for one that is\n"
    assert not list(tmp_path.glob("outputs/*/*/rounds.jsonl"))


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("task.algorithms=nowhere.lock", "nowhere.lock is not the lock of a task"),
        ("task.algorithms={late:{version:'1'}}", "option 'task.algorithms"),
        ("task.algorithms={late:{version:'1',sha256:'a',more:1}}", "option 'task.algorithms"),
        ("+task.algorithms={late:{version:'1',sha256:a}}", "task.algorithms: 'a' cannot be"),
        ("+task.algorithms={../up:{version:'1',sha256:a}}", "task.algorithms: '../up' cannot be"),
        ("task.algorithms=[late]", "[late] is not the lock of a task"),
    ],
)
def test_a_lock_that_cannot_be(run, installer, word, said):
    for more in ([], ["collector=late"]):
        done = run(word, *more)
        assert done.returncode == 2
        assert done.stderr.startswith(f"aeros: {said}"), done.stderr
        assert installer.calls == []


def test_nothing_delivers(run, toy, monkeypatch):
    only = [plugin for plugin in toy.plugins if plugin.name == "toy"]
    monkeypatch.setattr(discovery, "discover", lambda: replace(toy, plugins=only))
    done = run("task.algorithms=late.lock")
    assert (done.returncode, done.stderr) == (
        2,
        "aeros: task.algorithms asks for algorithms, and nothing here delivers them\n"
        "  next: pip install aeros-algorithms\n",
    )


@pytest.mark.parametrize("name", ["one", "two"])
def test_several_deliver(run, installer, distribution, name):
    distribution("toy-two", DELIVERS.replace("NAME", repr(name)))
    done = run("task.algorithms=late.lock")
    assert done.returncode == 2
    assert done.stderr.endswith(
        "several packages deliver them\n  provider: toy-one 2.0 and toy-two 2.0\n"
        "  next: pip uninstall toy-two\n"
    )
    assert installer.calls == []


def test_a_repository_that_keeps_none(run, installer, monkeypatch):
    monkeypatch.setattr(task_algorithms, "SupportsAlgorithms", SupportsAlgorithms)
    done = run("task.algorithms=late.lock")
    assert done.returncode == 2
    assert "Files is a repository that cannot keep algorithms" in done.stderr


def test_a_process_to_which_nothing_was_delivered(toy):
    """As a launcher's of its own: it must not run with less than the task locks."""
    arrived = Delivery(toy)
    arrived.check(Task())
    with pytest.raises(ConfigError, match="have not been delivered to this process"):
        arrived.check(Task(algorithms={"late": AlgorithmPin(**PIN)}))


def test_a_node_calls_the_same(installer, toys, tmp_path, monkeypatch):
    """An executor has a plain configuration and a repository of its own, and no Hydra."""
    monkeypatch.setenv("AEROS_PLUGINS", "toy,late,toy_one")

    def opened():
        return toys.Files(path=tmp_path)

    with delivered("digits", {"late": AlgorithmPin(**PIN)}, opened) as registry:
        assert ("collector", "late") in registry.options
    with delivered("digits", {}, opened) as registry:
        assert ("collector", "late") not in registry.options


def test_the_message_of_a_missing_installer_is_a_plugins(toy):
    with (
        pytest.raises(PluginError, match="nothing here delivers them"),
        delivered("t", {"late": AlgorithmPin(**PIN)}, lambda: None),
    ):
        pass

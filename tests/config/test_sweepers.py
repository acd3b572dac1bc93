"""Launchers and sweepers that plugins register."""

import os
import sys
from pathlib import Path

import pytest

DIST = Path(__file__).parents[1] / "dist"

CODE = """
from dataclasses import dataclass, field
from typing import Any

from aeros_core import hookimpl


@dataclass
class Loud:
    _target_: str = "toy_cluster.sweeps.Loud"
    queue: str = "short"


@dataclass
class Halving:
    _target_: str = "toy_cluster.sweeps.Halving"
    trials: int = 2
    space: dict[str, Any] = field(default_factory=dict)


@dataclass
class Wrong:
    _target_: str = "toy_cluster.sweeps.Wrong"


@dataclass
class Gone:
    _target_: str = "toy_cluster.sweeps.Gone"


@hookimpl
def aeros_launchers():
    return {"loud": Loud, "wrong": Wrong, "gone": Gone, "unfinished": Unfinished}


@hookimpl
def aeros_sweepers():
    return {"halving": Halving}


@dataclass
class Unfinished:
    _target_: str = "toy_cluster.sweeps.Unfinished"
"""
SWEEPS = """
from hydra._internal.core_plugins.basic_launcher import BasicLauncher
from hydra.core.plugins import Plugins
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper


class Loud(BasicLauncher):
    def __init__(self, *, queue):
        super().__init__()
        self.queue = queue

    def launch(self, job_overrides, initial_job_idx):
        print(len(job_overrides), "jobs in queue", self.queue, flush=True)
        return super().launch(job_overrides, initial_job_idx)


class Halving(Sweeper):
    def __init__(self, *, trials, space):
        self.trials, self.space = trials, space

    def setup(self, *, hydra_context, task_function, config):
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments):
        jobs = [(*arguments, f"{key}={value}") for key, values in self.space.items()
                for value in values[: self.trials]]
        return self.launcher.launch(jobs, initial_job_idx=0)


class Unfinished(Launcher):
    pass


Wrong = print
"""


@pytest.fixture
def sweep(aeros, toy_words, distribution):
    """A function that runs a sweep of the toy task, with a plugin that has a launcher."""
    folder = distribution("toy-cluster", "")
    (folder / "toy_cluster.py").unlink()
    (folder / "toy_cluster").mkdir()
    (folder / "toy_cluster/__init__.py").write_text(CODE)
    (folder / "toy_cluster/sweeps.py").write_text(SWEEPS)
    yield lambda *words: aeros("run", *toy_words, "task.rounds=1", "-m", *words)
    for name in [n for n in sys.modules if n.startswith("toy_cluster")]:
        del sys.modules[name]


def test_a_plugin_registers_a_launcher_with_its_options(sweep):
    done = sweep("hydra/launcher=loud", "hydra.launcher.queue=long", "task.seed=1,2")
    assert done.stderr == ""
    assert done.returncode == 0
    assert "2 jobs in queue long\n" in done.stdout
    assert done.stdout.count("FINISHED after 1 round,") == 2


def test_a_plugin_registers_a_sweeper_with_its_options(sweep):
    done = sweep(
        "hydra/sweeper=halving", "hydra/launcher=loud", "+hydra.sweeper.space={task.seed:[1,2,3]}"
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert "2 jobs in queue short\n" in done.stdout
    assert done.stdout.count("FINISHED after 1 round,") == 2


def test_its_class_is_imported_when_it_is_chosen_and_never_before(sweep, aeros):
    assert "loud" in aeros("plugins").stdout
    assert sweep("task.seed=1,2").returncode == 0
    assert "toy_cluster.sweeps" not in sys.modules


def test_hydras_own_stay(sweep):
    done = sweep("hydra/launcher=basic", "hydra/sweeper=basic", "task.seed=1,2")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["hydra/launcher=loud", "+hydra.launcher.more=1"],
            "hydra.launcher.more is not an option of this launcher\n  exists: queue\n",
        ),
        (["hydra/launcher=loud", "hydra.launcher._target_=os.system"], "hydra.launcher._target_"),
        (
            ["hydra/launcher=wrong"],
            "toy_cluster.sweeps.Wrong must be a class derived from hydra.plugins.launcher.Launcher",
        ),
        (
            ["hydra/launcher=unfinished"],
            "toy_cluster.sweeps.Unfinished must be a class derived from",
        ),
        (["hydra/launcher=gone"], "toy_cluster.sweeps.Gone cannot be imported: AttributeError"),
        (["hydra/launcher=nowhere"], "hydra/launcher=nowhere does not exist\n  exists: basic, "),
    ],
)
def test_what_is_not_registered_or_does_not_work_is_refused(sweep, words, said):
    done = sweep(*words, "task.seed=1,2")
    assert done.returncode == 2
    assert done.stderr.startswith(f"aeros: {said}"), done.stderr
    assert "Traceback" not in done.stderr
    assert "FINISHED" not in done.stdout


GREEDY = """
from dataclasses import dataclass

from aeros_core import hookimpl


@dataclass
class Basic:
    _target_: str = "toy_greedy.Basic"


@hookimpl
def HOOK():
    return {"basic": Basic}
"""


@pytest.mark.parametrize("kind", ["launcher", "sweeper"])
def test_a_plugin_cannot_take_hydras_own(sweep, aeros, distribution, kind):
    distribution("toy-greedy", GREEDY.replace("HOOK", f"aeros_{kind}s"))
    assert (
        f"toy_greedy is failed: aeros_{kind}s: ValueError: hydra/{kind}=basic is Hydra's own;"
        " choose another name\n" in aeros("plugins").stdout
    )
    assert sweep("task.seed=1,2").returncode == 0


TWIN = """
from dataclasses import dataclass

from aeros_core import hookimpl


@dataclass
class Loud:
    _target_: str = "toy_twin.Loud"


@hookimpl
def aeros_launchers():
    return {"loud": Loud}
"""


def test_a_launcher_that_two_plugins_offer_is_taken_from_neither(sweep, distribution):
    distribution("toy-twin", TWIN)
    done = sweep("hydra/launcher=loud", "task.seed=1,2")
    assert done.returncode == 2
    assert done.stderr.startswith(
        "aeros: hydra/launcher=loud is offered by several packages, so none is taken\n"
        "  provider: toy-cluster 2.0 and toy-twin 2.0\n"
    )
    assert sweep("task.seed=1,2").returncode == 0


HYDRAS = """
from dataclasses import dataclass

from hydra.core.config_store import ConfigStore


@dataclass
class Conf:
    _target_: str = "hydra_plugins.hydra_loud.Loud"


for section in ("launcher", "sweeper"):
    for name in ("loud", "halving", "another"):
        ConfigStore.instance().store(f"{name}", Conf, group=f"hydra/{section}", provider="loud")
"""


def install_hydras(folder, files):
    """Write a distribution of Hydra's own kind into a folder, with these files of its package."""
    info, package = folder / "hydra_loud-1.5.dist-info", folder / "hydra_plugins/hydra_loud"
    for path, text in {
        info / "METADATA": "Metadata-Version: 2.1\nName: hydra-loud\nVersion: 1.5\n",
        info / "RECORD": "".join(f"hydra_plugins/hydra_loud/{name},,\n" for name in files),
        **{package / name: text for name, text in files.items()},
    }.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


SEARCHED = """
from hydra.plugins.search_path_plugin import SearchPathPlugin


class Loud(SearchPathPlugin):
    def manipulate_search_path(self, search_path):
        search_path.append("loud", "pkg://hydra_plugins.hydra_loud.conf")
"""
FILES = {
    "stored": {"__init__.py": HYDRAS},
    "in a file": {"__init__.py": SEARCHED, "conf/__init__.py": ""}
    | {f"conf/hydra/{each}.yaml": "_target_: hydra_plugins.hydra_loud.Loud\n"
       for each in ("launcher/loud", "sweeper/halving", "launcher/another", "sweeper/another")},
}  # fmt: skip


@pytest.fixture(params=FILES)
def beside(request, sweep, distribution, command, toy_words, tmp_path):
    """A function that sweeps in a process with that plugin and a package of Hydra's own kind."""
    folder = install_hydras(tmp_path / "site", FILES[request.param])
    paths = [*map(str, (folder, DIST / "toy")), *sys.path]

    def run(*words):
        told = {"PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "AEROS_PLUGINS": os.environ["AEROS_PLUGINS"]}  # fmt: skip
        return command("run", *toy_words, "task.rounds=1", "-m", *words, **told)

    return run


@pytest.mark.parametrize("chosen", ["hydra/launcher=loud", "hydra/sweeper=halving"])
@pytest.mark.parametrize("more", [(), ("hydra.launcher.queue=long",)])
def test_what_a_plugin_and_a_package_of_hydras_own_kind_offer_is_taken_from_neither(
    beside, chosen, more
):
    done = beside(chosen, *more, "task.seed=1,2")
    assert done.returncode == 2
    assert done.stderr == (
        f"aeros: {chosen} is offered by several packages, so none is taken\n"
        "  provider: toy-cluster 2.0 and hydra-loud 1.5\n"
        "  next: pip uninstall toy-cluster or pip uninstall hydra-loud\n"
    )


def test_other_options_of_such_a_package_stay(beside):
    done = beside("hydra/launcher=basic", "task.seed=1,2")
    assert done.returncode == 0, done.stderr
    refused = beside("hydra/launcher=another", "task.seed=1,2")
    assert "several packages" not in refused.stderr
    assert "hydra_plugins.hydra_loud.Loud" in refused.stderr

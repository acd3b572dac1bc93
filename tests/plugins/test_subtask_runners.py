import pytest

CODE = """
from aeros_core import hookimpl
from aeros_core.hooks.extensions import SubtaskKind

@hookimpl
def aeros_subtasks():
    return [
        SubtaskKind("serve", "toy_serving:TARGET", ends=False),
        SubtaskKind("announce", "toy_serving:follow"),
        SubtaskKind("nothing", "toy_serving:nothing"),
    ]

from aeros_core.errors import ConfigError

def follow(subtask, config):
    if "refused" in subtask.options:
        raise ConfigError("that cannot be")
    print("ready", config["task"]["name"], subtask.options, flush=True)
    return lambda model: print("serves", model["name"], model["version"], flush=True)

def nothing(subtask, config):
    return None

def fail(subtask, config):
    raise KeyError("colour")
"""


@pytest.fixture
def toy_task(aeros, toy_words):
    """A function that runs the toy task."""
    return lambda *words: aeros("run", *toy_words, "task.rounds=2", "task.name=toy", *words)


@pytest.fixture
def served(toy_task, distribution):
    """A function that runs the toy task, with a distribution that carries out sub-tasks."""
    installed = []

    def run(*words, target="follow"):
        if not installed:
            installed.append(distribution("toy-serving", CODE.replace("TARGET", target)))
        return toy_task(*words)

    return run


def test_what_follows_is_prepared_before_the_task_and_done_after_it(served):
    done = served("task=served", "+task.subtasks.serve.options.tag=best")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "ready toy {'tag': 'best'}"
    assert lines[-1] == "serves toy 1"
    assert any("FINISHED after 2 rounds" in line for line in lines)


def test_a_plugin_carries_out_a_kind_of_its_own(served):
    done = served("task=served", "task.subtasks.serve.kind=announce")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "serves toy 1"


def test_a_kind_that_ends_may_follow_in_a_sweep(served):
    done = served("-m", "task=served", "task.subtasks.serve.kind=announce", "task.seed=1,2")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("serves toy ") == 2


def test_what_cannot_follow_is_told_before_anything_runs(served, tmp_path):
    done = served("task=served", "+task.subtasks.serve.options.refused=true")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "aeros: that cannot be\n"
    assert not list(tmp_path.glob("outputs/*/*/rounds.jsonl"))


def test_a_task_that_only_trains_is_followed_by_nothing(served):
    assert "ready" not in served().stdout


def test_a_sweep_has_no_end_to_wait_for(served):
    done = served("-m", "task=served", "task.seed=1,2")
    assert done.returncode == 2
    assert "sub-task 'serve' does not end, and a sweep goes on to its next job" in done.stderr


def test_a_plugin_that_is_not_loaded_is_named(toy_task):
    done = toy_task("task=served")
    assert done.returncode == 2
    assert done.stderr.startswith("aeros: sub-task 'serve': kind serve does not exist\n")
    assert done.stderr.splitlines()[-1].startswith(
        ("  next: AEROS_PLUGINS=", "  next: pip install")
    )


def test_without_a_plugin_the_package_is_named(toy_task, monkeypatch):
    monkeypatch.setattr("aeros_core.plugins.entry_points.entry_points", only("toy", "core"))
    done = toy_task("task=served")
    assert done.returncode == 2
    assert done.stderr == (
        "aeros: sub-task 'serve': kind serve does not exist\n  next: pip install aeros-serving\n"
    )


def only(*names):
    """Return `entry_points.entry_points` with the plugins of these names alone."""
    from aeros_core.plugins.entry_points import entry_points

    def found(groups):
        entries, damaged = entry_points(groups)
        return [entry for entry in entries if entry.name in names], damaged

    return found


def test_a_kind_that_does_not_exist(served):
    done = served("task=served", "task.subtasks.serve.kind=anounce")
    assert done.returncode == 2
    assert done.stderr == (
        "aeros: sub-task 'serve': kind anounce does not exist\n"
        "  exists: announce, nothing, serve\n  next: announce\n"
    )


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("missing", "AttributeError: module 'toy_serving' has no attribute 'missing'"),
        ("fail", "KeyError: 'colour'"),
        ("nothing", "TypeError: toy_serving:nothing returned no function to call in the end"),
    ],
)
def test_a_plugin_that_fails_is_named(served, target, said):
    done = served("task=served", target=target)
    assert done.returncode == 2
    assert done.stderr == (
        f"aeros: sub-task 'serve' cannot be used: {said}\n"
        "  provider: toy-serving 2.0\n  next: pip install --upgrade toy-serving\n"
    )


TRAINS = """
from aeros_core import hookimpl
from aeros_core.hooks.extensions import SubtaskKind

@hookimpl
def aeros_subtasks():
    return [SubtaskKind("train", "toy_trains:follow")]
"""


def test_a_plugin_cannot_take_a_kind_of_the_core(toy_task, aeros, distribution):
    distribution("toy-trains", TRAINS)
    assert toy_task().returncode == 0
    assert (
        "toy_trains is failed: aeros_subtasks: ValueError: subtask train is aeros-core's own;"
        in aeros("plugins").stdout
    )

import sys

import pytest

CODE = """
from aeros_core.errors import ConfigError

def follow(subtask, config):
    if "refused" in subtask.options:
        raise ConfigError("that cannot be")
    print("ready", config["task"]["name"], subtask.options, flush=True)
    return lambda model: print("serves", model["name"], model["version"], flush=True)
"""


@pytest.fixture
def served(aeros, toy_words, tmp_path, monkeypatch):
    """A function that runs the toy task, with a distribution that carries out ``serve``."""
    info = tmp_path / "path/toy_serving-2.0.dist-info"

    def run(*words, entry="toy_serving:follow"):
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-serving\nVersion: 2.0\n")
        (info / "entry_points.txt").write_text(f"[aeros.subtasks]\nserve = {entry}\n")
        (info.parent / "toy_serving.py").write_text(CODE)
        monkeypatch.syspath_prepend(info.parent)
        return aeros("run", *toy_words, "task.rounds=2", "task.name=toy", *words)

    yield run
    sys.modules.pop("toy_serving", None)


def test_what_follows_is_prepared_before_the_task_and_done_after_it(served):
    done = served("task=served", "+task.subtasks.serve.options.tag=best")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "ready toy {'tag': 'best'}"
    assert lines[-1] == "serves toy 1"
    assert any("FINISHED after 2 rounds" in line for line in lines)


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


def test_without_a_plugin_the_package_is_named(aeros, toy_words, monkeypatch):
    monkeypatch.setattr("aeros_core.followups.entry_points", lambda **_: [])
    done = aeros("run", *toy_words, "task=served", "task.rounds=1")
    assert done.returncode == 2
    assert done.stderr == (
        "aeros: sub-task 'serve': nobody here carries out kind serve\n"
        "  exists: nobody\n  next: pip install aeros-serving\n"
    )


def test_a_plugin_that_cannot_be_imported_is_named(served):
    done = served("task=served", entry="toy_serving:nothing")
    assert done.returncode == 2
    assert "sub-task 'serve' cannot be carried out: AttributeError" in done.stderr
    assert "provider: toy-serving" in done.stderr

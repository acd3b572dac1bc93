"""Hydra writes below the working directory, or where a person typed it."""

from pathlib import Path

import pytest

HEAD = "# @package _global_\n"


@pytest.fixture
def outside(tmp_path):
    folder = tmp_path.parent / f"{tmp_path.name}-outside"
    folder.mkdir()
    return folder


@pytest.fixture
def run(aeros, toy_words, tmp_path, outside):
    """A function that runs a task with an experiment file of this text, and words.

    ``{OUT}`` stands for a folder outside the working directory.
    """
    plain = [word for word in toy_words if word != "experiment=null"]

    def go(text, *words):
        path = tmp_path / "mine/experiment/e.yaml"
        path.parent.mkdir(parents=True)
        path.write_text(HEAD + text.replace("{OUT}", str(outside)) + "\n")
        words = [word.replace("{OUT}", str(outside)) for word in words]
        return aeros("run", "--config-dir", "mine", *plain, "experiment=e", "task.rounds=1", *words)

    return go


ESCAPES = [
    "hydra: {run: {dir: '{OUT}/x'}}",
    "hydra: {run: {dir: ../x}}",
    "hydra: {run: {dir: .}}",
    "hydra: {run: {dir: a/../..}}",
    "hydra: {run: {dir: link/x}}",
    "hydra: {run: {dir: 'a/${up}'}}\nup: ../../x",
    "hydra: {run: {dir: 'a/${l.${task.seed}}'}}\nl: {0: ../../x}",
    "hydra: {run: {dir: 'a/${now:../../../x}'}}",
    "hydra: {run: {dir: 'a/${l.${hydra.job.num}}'}}\nl: {0: ../../x}",
    "hydra: {run: {dir: 'a/${hydra.job.name}'}, job: {name: ..}}",
    "task: {name: ../x}",
    "task: {name: '${up}'}\nup: ../x",
    "task: {name: '${l.${oc.select:hydra.mode,safe}}'}\nl: {RUN: ../x, safe: x}",
]


@pytest.mark.parametrize("text", ESCAPES)
def test_a_file_leads_nowhere_outside(run, outside, tmp_path, text):
    (tmp_path / "link").symlink_to(outside)
    around = sorted(tmp_path.parent.iterdir())
    done = run(text)
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
    assert not list(outside.iterdir())
    assert sorted(tmp_path.parent.iterdir()) == around
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "link"}


SWEPT = [
    "hydra: {sweep: {dir: '{OUT}/x'}}",
    "hydra: {sweep: {dir: ../x}}",
    "hydra: {sweep: {subdir: ../../x}}",
    "hydra: {sweep: {subdir: '{OUT}/x'}}",
    "hydra: {sweep: {subdir: '${l.${hydra.job.num}}'}}\nl: {0: ../../x, 1: ../../x}",
    "hydra: {sweep: {subdir: 'a/${up}'}}\nup: ../../x",
    "hydra: {sweep: {subdir: '${oc.select:l.${hydra.job.num},a}'}}\nl: {0: ../../x}",
]


@pytest.mark.parametrize("text", SWEPT)
def test_a_file_sweeps_nowhere_outside(run, outside, tmp_path, text):
    around = sorted(tmp_path.parent.iterdir())
    done = run(text, "-m", "task.seed=1,2")
    assert done.returncode == 2, done.stdout
    assert "Traceback" not in done.stderr
    assert not list(outside.iterdir())
    assert sorted(tmp_path.parent.iterdir()) == around


@pytest.mark.parametrize("seed", ["1,2", "1"])
def test_parameters_of_a_sweep_lead_nowhere_outside(run, outside, tmp_path, seed):
    around = sorted(tmp_path.parent.iterdir())
    params = f"{{task.seed: '{seed}', task.name: '${{l.${{hydra.job.num}}}}'}}"
    done = run(f"l: {{0: ../../x}}\nhydra: {{mode: MULTIRUN, sweeper: {{params: {params}}}}}")
    assert done.returncode != 0
    assert sorted(tmp_path.parent.iterdir()) == around


def test_the_message_says_what_to_type(run, outside):
    done = run("hydra: {run: {dir: '{OUT}/x'}}")
    assert f"hydra.run.dir={outside}/x, set in a file, leads outside" in done.stderr
    assert f"\n  next: hydra.run.dir={outside}/x on the command line" in done.stderr


TYPED = [
    (["hydra.run.dir={OUT}/x"], "x"),
    (["hydra.run.dir='{OUT}/${task.name}/${now:%Y}'"], "*/*"),
    (["+hydra.run={dir: '{OUT}/x'}"], "x"),
    (["-m", "task.seed=1,2", "hydra.sweep.dir={OUT}/x"], "x/0"),
    (["-m", "task.seed=1,2", "hydra.sweep.dir={OUT}/x", "hydra.sweep.subdir=${task.seed}"], "x/1"),
]


@pytest.mark.parametrize(("words", "found"), TYPED)
def test_a_directory_that_was_typed_is_taken(run, outside, words, found):
    done = run("hydra: {run: {dir: inside}}", *words)
    assert done.returncode == 0, done.stderr
    assert list(outside.glob(f"{found}/.hydra/config.yaml"))


def test_a_file_does_not_bend_a_directory_that_was_typed(run, outside):
    done = run("up: ../../../x", "hydra.run.dir='{OUT}/a/${up}'")
    assert done.returncode == 2
    assert "outside the folder that was typed" in done.stderr
    assert not list(outside.iterdir())


@pytest.mark.parametrize("folder", ["runs/mine", "'runs/${task.name}-${trainer.lr}'", "a/b/c"])
def test_a_file_may_name_a_folder_below(run, tmp_path, folder):
    done = run(f"hydra: {{run: {{dir: {folder}}}}}")
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.rglob(".hydra/config.yaml"))) == 1


def test_a_folder_of_ones_own_may_be_a_link_elsewhere(run, outside, tmp_path):
    (tmp_path / "outputs").symlink_to(outside)  # as to a larger disk; no file says so
    done = run("task: {name: linked}")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in Path(outside).iterdir()] == ["linked"]

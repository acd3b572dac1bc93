import json

import pytest
from omegaconf import OmegaConf

from aeros_core.controllers.local import LocalController
from aeros_core.errors import TaskError
from aeros_core.reporting.run_directory import RunDirectory
from aeros_core.results import Result, Round
from aeros_core.tasks.task import Task

CONFIG = {"task": {"name": "toy", "seed": 3}, "trainer": {"lr": 0.5, "fail": ["client-1"]}}


@pytest.fixture
def run(parts, listening, tmp_path):
    """A function that runs the toy task and reports into a directory."""

    def go(folder="run", **options):
        task = {k: options.pop(k) for k in ("rounds", "resume", "quorum") if k in options}
        report = RunDirectory(tmp_path / folder, CONFIG)
        made = parts(events=listening(report), **options)
        result = LocalController().run(Task(name="toy", **{"rounds": 3} | task), made)
        return result, tmp_path / folder

    return go


def lines(folder):
    return [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]


def test_a_run_leaves_configuration_rounds_curve_and_result(run):
    result, folder = run()
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml", "curve.png", "result.json", "rounds.jsonl",
    ]  # fmt: skip
    assert OmegaConf.to_container(OmegaConf.load(folder / "config.yaml")) == CONFIG
    assert [line["round"] for line in lines(folder)] == [1, 2, 3]
    assert Round.from_json(lines(folder)[-1]).metrics == result.metrics
    assert Result.from_json(json.loads((folder / "result.json").read_text())) == result
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_the_directory_is_made_and_the_configuration_is_there_before_anything_runs(tmp_path):
    report = RunDirectory(tmp_path / "a" / "b", CONFIG)
    assert (report.folder / "config.yaml").exists()


def test_a_round_is_on_disk_as_soon_as_it_is_done(parts, listening, tmp_path, heard):
    seen = []
    report = RunDirectory(tmp_path / "run", CONFIG)

    class Looks:
        def __getattr__(self, name):
            def tell(**arguments):
                getattr(hooks, name)(**arguments)
                if name == "aeros_after_round":
                    seen.append(len(lines(tmp_path / "run")))

            return tell

    hooks = listening(report)
    LocalController().run(Task(name="toy", rounds=2), parts(events=Looks()))
    assert seen == [1, 2]


def test_a_resumed_run_tells_of_earlier_rounds_too(run):
    run("first", rounds=2)
    _, folder = run("second", rounds=3, resume=True)
    assert [line["round"] for line in lines(folder)] == [1, 2, 3]


def test_a_finished_run_that_is_resumed_leaves_the_same_files(run):
    first, one = run("first")
    second, two = run("second", resume=True)
    assert first == second
    assert lines(one) == lines(two)
    assert (two / "curve.png").exists()


def test_a_task_that_fails_in_its_first_round_leaves_a_result_without_a_curve(run, tmp_path):
    with pytest.raises(TaskError):
        run(quorum=4, fail=[f"client-{i}" for i in range(3)])
    folder = tmp_path / "run"
    assert json.loads((folder / "result.json").read_text())["status"] == "FAILED"
    assert (folder / "rounds.jsonl").read_text() == ""
    assert not (folder / "curve.png").exists()


def test_what_json_does_not_know_is_null(tmp_path):
    report = RunDirectory(tmp_path, CONFIG)
    infinite = Round(
        number=1, metrics={"loss": float("inf")}, federated={}, training={"loss": float("nan")},
        nodes={}, refused={}, seconds={}, sent=0, received=0,
    )  # fmt: skip
    report.aeros_before_task([])
    report.aeros_after_round(infinite)
    [line] = lines(tmp_path)
    assert line["metrics"] == {"loss": None}
    assert line["training"] == {"loss": None}

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from aeros_core import __version__

MESSAGE = re.compile(
    r"aeros: [^\n]+\n(  exists: .*\n)?(  provider: .*\n)?(  next: .*\n)?", re.DOTALL
)
"""What was asked, what exists, who provides it, what to type next; in this order."""


@pytest.fixture
def run(aeros, toy_words):
    """A function that runs the toy task for one round, or as it is told."""
    return lambda *words: aeros("run", *toy_words, "task.rounds=1", *words)


@pytest.fixture
def refused(run):
    """A function that runs what cannot be, and returns the message."""

    def tell(code, *words):
        done = run(*words)
        assert done.returncode == code, done.stderr
        assert MESSAGE.fullmatch(done.stderr), done.stderr
        assert "Traceback" not in done.stderr + done.stdout
        return done.stderr

    return tell


def folder_of(done):
    return Path(re.findall(r"^files are in (.+)$", done.stdout, re.MULTILINE)[-1])


# ---------------------------------------------------------------- aeros run


def test_a_task_runs_and_leaves_its_files(run, drawn):
    done = run("task.name=mine", "task.rounds=2")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert re.fullmatch(r"task mine, run mine-\S+", lines[0])
    assert lines[1].startswith("round 1/2  loss ")
    assert lines[3].startswith("mine: FINISHED after 2 rounds, ")
    assert lines[4] == "model mine version 1 is stored"
    folder = folder_of(done)
    assert folder.parent.parent.name == "outputs"
    assert {"config.yaml", "rounds.jsonl", "curve.png", "result.json"} <= {
        p.name for p in folder.iterdir()
    }
    told = json.loads((folder / "result.json").read_text())
    assert list(told) == [
        "task", "status", "rounds", "metrics", "model", "seconds", "bytes", "versions", "dropped",
    ]  # fmt: skip
    assert told["task"] == "mine"
    assert set(told["metrics"]) == {"accuracy", "loss"}
    assert set(told["model"]) == {"name", "version", "digest"}
    assert set(told["versions"]) == {"python", "aeros-core", "toy"}


def test_the_words_that_were_typed_are_kept_and_give_the_same_bits(run, aeros, tmp_path):
    done = run("hydra.run.dir=one", "collector.momentum=0.5", "task.seed=4")
    assert folder_of(done) == tmp_path / "one"
    words = OmegaConf.load(tmp_path / "one/.hydra/overrides.yaml")
    done = aeros("run", *words, "hydra.run.dir=two")
    assert done.returncode == 0, done.stderr
    digests = [
        json.loads((tmp_path / folder / "result.json").read_text())["model"]["digest"]
        for folder in ("one", "two")
    ]
    assert digests[0] == digests[1]


def test_flags_and_overrides_mix_in_any_order(aeros, toy_words):
    shown = [
        aeros("run", "--cfg", "job", *toy_words, "task.seed=7"),
        aeros("run", *toy_words, "-c", "job", "task.seed=7"),
    ]
    assert shown[0].stdout == shown[1].stdout
    assert "\n  seed: 7\n" in shown[0].stdout
    assert "hydra:" not in shown[0].stdout
    assert [done.returncode for done in shown] == [0, 0]


def test_help_shows_the_groups_and_their_options(run):
    done = run("--help")
    assert done.returncode == 0
    assert "collector: mean\n" in done.stdout
    assert "transformer: blobs, even, scale, thin\n" in done.stdout
    assert "aeros run -m collector=fedavg,median task.seed=0,1,2" in done.stdout


def test_a_callback_hears_the_tasks_life(run, tmp_path):
    run("callback=[tally]", "transformer.even.clients=2")
    assert (tmp_path / "tally.txt").read_text().splitlines() == [
        "status SUBMITTED",
        "status PLANNED",
        "before_task task",
        "status RUNNING",
        "before_round 1 2",
        "update client-0",
        "update client-1",
        "after_round 1",
        "status FINISHED",
        "after_task FINISHED",
    ]


def test_a_finished_task_that_is_resumed_runs_no_more(run):
    first, second = run(), run("task.resume=true")
    results = [json.loads((folder_of(d) / "result.json").read_text()) for d in (first, second)]
    assert results[0] == results[1]
    assert "goes on after round 1" in second.stdout


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["trainer.lrr=1"], ["option 'trainer.lrr' does not exist", "next: trainer.lr=<value>"]),
        (["task.rounds=0"], ["task.rounds=0 is not possible"]),
        (["collector._target_=os.system"], ["_target_=os.system is not registered for collector"]),
        (["trainer.features=3"], ["the data do not meet what the model declares"]),
        (["+transformer.thin.x=1"], ["sets an option of 'thin', which is not chosen"]),
        (["task.name=${nowhere}"], ["Interpolation key 'nowhere' not found"]),
        (["task.name=../x"], ["task.name=../x is not possible", "exists: up to 100 letters"]),
        (["-m", "task.name=x,../y"], ["task.name=../y is not possible"]),
        ([f"task.name={'a' * 101}"], ["a is not possible", "exists: up to 100 letters"]),
        (["task"], ["'task' cannot be read as KEY=VALUE", "next: for instance task.rounds=3"]),
        (["task.name=a!"], ["'task.name=a!' cannot be read", "\"KEY='VALUE'\" around other"]),
        (["--config-dir", "nowhere"], ["nowhere' not found"]),
        (["--config-name", "nowhere"], ["no configuration is called nowhere"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_exits_with_2(refused, words, parts):
    said = refused(2, *words)
    for part in parts:
        assert part in said


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (
            [f"trainer.fail=[{','.join(f'client-{i}' for i in range(6))}]"],
            ["round 1 has 0 good updates", "the sensor is unplugged", "task.resume=true"],
        ),
        (["transformer.blobs.nan=true"], ["field 'point' holds NaN or infinity in 1 of 240 rows"]),
        (["repository.path=/proc/store"], ["/proc/store", "cannot be written"]),
        (["hydra.run.dir=/proc/run"], ["/proc/run: No such file or directory", "hydra.run.dir="]),
        (
            ["callback=[tally]", "callback.tally.path=/proc/tally"],
            ["/proc/tally: No such file or directory", "AEROS_TRACEBACK=1"],
        ),
    ],
    ids=["quorum", "nan", "repository", "run directory", "callback"],
)
def test_what_fails_exits_with_1(run, words, parts):
    done = run(*words)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    said = done.stderr[done.stderr.index("aeros: ") :]
    assert MESSAGE.fullmatch(said)
    for part in parts:
        assert part in said


def test_another_configuration_is_not_resumed(run, refused):
    run()
    said = refused(2, "task.resume=true", "trainer.lr=0.1")
    assert "no run of task 'task' had this configuration" in said
    assert ", with trainer.lr=0.5\n" in said


def test_a_repository_that_fails_in_mid_task_leaves_what_was_committed(run, tmp_path, toys):
    """The disk is full from the second round on."""

    class Full(toys.Files):
        def commit(self, run, checkpoint):
            if checkpoint.round.number == 2:
                raise toys.RepositoryError("no space is left", hint="free the disk")
            super().commit(run, checkpoint)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(toys, "Files", Full)
        done = run("task.rounds=5", "hydra.run.dir=here")
    assert (done.returncode, done.stderr) == (1, "aeros: no space is left\n  next: free the disk\n")
    told = json.loads((tmp_path / "here/result.json").read_text())
    assert (told["status"], told["rounds"]) == ("FAILED", 1)
    assert len((tmp_path / "here/rounds.jsonl").read_text().splitlines()) == 1
    again = run("task.rounds=5", "task.resume=true")
    assert again.returncode == 0
    assert "goes on after round 1" in again.stdout


def test_where_an_error_came_from_is_shown_when_asked_for(run, monkeypatch):
    monkeypatch.setenv("AEROS_TRACEBACK", "1")
    for words, where in ([["task.rounds=0"], "task.py"], [["hydra.run.dir=/proc/run"], "pathlib"]):
        said = run(*words).stderr
        assert said.startswith("Traceback (most recent call last):")
        assert where in said
        assert MESSAGE.fullmatch(said[said.rindex("aeros: ") :])


@pytest.mark.parametrize("words", [["--nosuch"], ["--cfg", "nonsense"]])
def test_a_flag_that_does_not_exist_exits_with_2(run, words):
    done = run(*words)
    assert done.returncode == 2
    assert "aeros run: error: " in done.stderr


# ---------------------------------------------------------------- sweeps


@pytest.fixture
def swept(run):
    """The directory of a sweep over two seeds."""
    done = run("-m", "task.seed=0,1", "task.rounds=2", "hydra.sweep.dir=sweep")
    assert done.returncode == 0, done.stderr
    return Path("sweep")


def test_a_sweep_runs_every_job_into_a_directory_of_its_own(swept, aeros):
    results = [json.loads((swept / n / "result.json").read_text()) for n in ("0", "1")]
    assert [r["status"] for r in results] == ["FINISHED"] * 2
    assert results[0]["model"]["digest"] != results[1]["model"]["digest"]

    done = aeros("compare", "sweep")
    assert (done.returncode, done.stderr) == (0, "curves are in sweep/compare.png\n")
    head, *rows = [line.split() for line in done.stdout.splitlines()]
    assert head == ["run", "task.seed", "status", "rounds", "accuracy", "loss", "seconds"]
    assert [row[:4] for row in rows] == [["0", "0", "FINISHED", "2"], ["1", "1", "FINISHED", "2"]]
    assert (swept / "compare.png").exists()

    done = aeros("compare", "sweep", "--json", "--plot", "picture.png")
    rows = json.loads(done.stdout)
    assert [row["task.seed"] for row in rows] == [0, 1]
    assert rows[0]["accuracy"] == results[0]["metrics"]["accuracy"]
    assert Path("picture.png").exists()


def test_a_job_that_cannot_be_does_not_stop_the_others(run):
    done = run("-m", "task.rounds=0,2", "hydra.sweep.dir=sweep")
    assert done.returncode == 2
    assert not Path("sweep/0/result.json").exists()
    assert json.loads(Path("sweep/1/result.json").read_text())["status"] == "FINISHED"
    assert "'task.rounds=0'" in done.stderr
    assert done.stderr.endswith("aeros: task.rounds=0 is not possible\n  exists: at least 1\n")
    assert "Traceback" not in done.stderr


def test_comparing_a_directory_without_a_run_exits_with_2(aeros):
    done = aeros("compare", "nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("aeros: no run lies below nowhere\n  exists: ")


# ---------------------------------------------------------------- aeros plugins


def test_plugins_are_listed_with_what_they_provide(aeros):
    done = aeros("plugins")
    assert (done.returncode, done.stderr) == (0, "")
    head = done.stdout.splitlines()[0].split()
    assert head == ["name", "distribution", "version", "status", "provides"]
    assert re.search(r"^toy +toy +1\.0 +ok +callback=tally$", done.stdout, re.M)
    assert re.search(r"^ +transformer=blobs, even, scale, thin$", done.stdout, re.M)
    assert re.search(
        r"^core +aeros-core +\S+ +ok +commands: compare, models, options", done.stdout, re.M
    )
    for line in ("controller=local", "formats: safetensors", "deployment=local"):
        assert re.search(rf"^ +{line}$", done.stdout, re.M), line
    assert re.search(r"^ +experiment=.*digits", done.stdout, re.M)


def test_a_broken_plugin_is_listed_with_its_reason_and_what_to_type(aeros, install):
    install("toy", "missing_dependency")
    done = aeros("plugins")
    assert done.returncode == 0
    assert re.search(r"^missing_dependency +missing-dependency +1\.0 +failed$", done.stdout, re.M)
    assert (
        "\nmissing_dependency is failed: ModuleNotFoundError: No module named 'nowhere_installed'"
        "\n  next: pip install --upgrade missing-dependency\n" in done.stdout
    )


def test_plugins_are_listed_as_json(aeros, install):
    install("toy", "incompatible")
    found = {plugin["name"]: plugin for plugin in json.loads(aeros("plugins", "--json").stdout)}
    assert found["incompatible"] == {
        "name": "incompatible",
        "distribution": "incompatible",
        "version": "1.0",
        "module": "incompatible",
        "status": "failed",
        "provides": [],
        "reason": f"asks for aeros-core>=99, this is aeros-core {__version__}",
        "fix": "pip install --upgrade incompatible",
    }
    assert found["toy"]["status"] == "ok"
    assert "collector=mean" in found["toy"]["provides"]


def test_a_choice_that_two_packages_offer_names_both(aeros, toy_words, install):
    install("toy", "clash_a", "clash_b")
    done = aeros("run", *toy_words, "collector=twin")
    assert done.returncode == 2
    assert done.stderr == (
        "aeros: collector=twin is offered by several packages, so none is taken\n"
        "  provider: clash-a 1.0 and clash-b 1.0\n"
        "  next: pip uninstall one of them, or AEROS_PLUGINS=clash_a to load one\n"
    )


def test_an_experiment_that_two_packages_ship_names_both(aeros, toy_words, install):
    install("toy", "ships_conf", "ships_conf_too")
    done = aeros("run", *toy_words[1:], "experiment=shipped")
    assert done.returncode == 2
    assert "experiment=shipped is a file of several packages, so none is taken" in done.stderr
    assert "ships-conf 1.0 and ships-conf-too 1.0" in done.stderr


def test_an_experiment_that_a_package_ships_runs(aeros, toy_words, install):
    install("toy", "ships_conf")
    done = aeros("run", *toy_words[1:], "experiment=shipped")
    assert done.returncode == 0, done.stderr
    assert "shipped: FINISHED after 2 rounds" in done.stdout


# ---------------------------------------------------------------- aeros models


def test_models_are_listed_and_shown(run, aeros):
    run("task.name=mine", "+trainer/model=steep")
    run("task.name=mine", "task.seed=1")

    done = aeros("models", "list", "repository=files")
    assert (done.returncode, done.stderr) == (0, "")
    head, *rows = [line.split() for line in done.stdout.splitlines()]
    assert head == ["name", "version", "tags", "accuracy", "loss", "round", "created", "nbytes"]
    assert [row[:2] for row in rows] == [["mine", "1"], ["mine", "2"]]

    listed = json.loads(aeros("models", "list", "mine", "--json", "repository=files").stdout)
    assert [model["version"] for model in listed] == [1, 2]
    assert listed[0]["nbytes"] == 36

    shown = json.loads(aeros("models", "show", "mine:1", "--json", "repository=files").stdout)
    assert shown["digest"] == listed[0]["digest"]
    said = {"_distribution_": "toy", "_version_": "1.0"}
    module = {"_role_": "trainer/model", "_option_": "steep", **said, "slope": 1.0}
    assert shown["module"] == module
    step = {"_role_": "transformer", "_option_": "scale", **said}
    assert shown["transformers"] == {"scale": step}
    assert shown["tensors"] == {"weight": ["float32", 2, 3], "bias": ["float32", 3]}

    latest = aeros("models", "show", "mine", "repository=files")
    assert latest.returncode == 0
    assert f"digest: {listed[1]['digest']}\n" in latest.stdout


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["list", "repository=filez"], 2, "repository=filez does not exist"),
        (["list", "repository=files", "repository.pth=x"], 2, "option 'repository.pth' does not"),
        (["list", "repository=3"], 2, "Config group override must be a string"),
        (["show", "repository=files"], 2, "aeros models show takes one model\n  next: aeros mod"),
        (["show", "a", "b", "repository=files"], 2, "aeros models show takes one model"),
        (["show", "nothing", "repository=files"], 1, "model nothing is not stored"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_with_models_is_told(aeros, words, code, said):
    done = aeros("models", *words)
    assert done.returncode == code
    assert done.stderr.startswith("aeros: ")
    assert said in done.stderr
    assert "Traceback" not in done.stderr


# ---------------------------------------------------------------- the command itself


def test_the_command_tells_its_version_and_its_commands(aeros):
    assert aeros("--version").stdout == f"aeros {__version__}\n"
    done = aeros("--help")
    assert done.returncode == 0
    for name in ("run", "plugins", "models", "compare"):
        assert re.search(rf"^    {name} ", done.stdout, re.M)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["rnu"], "invalid choice: 'rnu'"),
        (["plugins", "more"], "unrecognized arguments: more"),
        (
            ["models"],
            "the following arguments are required: list|show|verify|tag|export|import|split|gc",
        ),
        (["compare"], "the following arguments are required: directory"),
    ],
)
def test_a_command_that_is_none_exits_with_2(aeros, words, said):
    done = aeros(*words)
    assert done.returncode == 2
    assert said in done.stderr


def test_a_reader_that_leaves_is_no_error(tmp_path):
    read, write = os.pipe()
    os.close(read)
    clean = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "aeros_core.cli.main", "plugins"]
    done = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, cwd=tmp_path, env=clean, timeout=60
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (0, b"")

import json

import pytest


@pytest.fixture
def results(aeros):
    """A function that runs ``aeros results …`` on the toy repository."""
    return lambda *words: aeros("results", *words, "repository=files")


@pytest.fixture
def stored(aeros, toy_words, toys):
    """Three runs, the last of another task and with a node that fails; oldest first."""
    for more in (
        ["task.name=mine", "task.seed=1"],
        ["task.name=mine", "task.seed=2"],
        ["task.name=other", "trainer.fail=[client-2]", "task.quorum=1"],
    ):
        assert aeros("run", *toy_words, "task.rounds=2", *more).returncode == 0
    return toys.Files(path="toy-store")


def test_every_run_is_a_row(results, stored):
    done = results()
    assert (done.returncode, done.stderr) == (0, "")
    head, *lines = done.stdout.splitlines()
    assert head.split() == (
        "run task status rounds accuracy loss bytes model created".split()  # noqa: SIM905
    )
    runs = stored.runs()
    assert [line.split()[:4] for line in lines] == [
        [run.id, run.task, "FINISHED", "2"] for run in runs
    ]
    assert [line.split()[-2] for line in lines] == ["mine:1", "mine:2", "other:1"]
    ends = [stored.result(run.id) for run in runs]
    assert [line.split()[4:7] for line in lines] == [
        [
            *(f"{end['metrics'][name]:.4f}" for name in ("accuracy", "loss")),
            str(end["bytes"]["sent"] + end["bytes"]["received"]),
        ]
        for end in ends
    ]


def test_the_runs_of_one_task(results, stored):
    rows = json.loads(results("--task", "mine", "--json").stdout)
    assert [row["run"] for row in rows] == [run.id for run in stored.runs("mine")]
    end = stored.result(rows[0]["run"])
    assert rows[0] == {
        "run": rows[0]["run"],
        **{key: end[key] for key in ("task", "status", "rounds", "metrics")},
        **{key: end[key] for key in ("seconds", "bytes", "model")},
        "created": stored.runs("mine")[0].created,
    }


def test_one_run_with_its_rounds_and_its_lineage(results, stored):
    run = stored.runs("mine")[0]
    told = json.loads(results(run.id, "--json").stdout)
    assert told["history"] == [r.to_json() for r in stored.history(run.id)]
    assert len(told["history"]) == 2
    lineage = told["lineage"]
    assert lineage["collector"] == run.config["collector"]
    assert lineage["transformer"] == run.config["transformer"]
    assert set(lineage["transformer"]) == {"blobs", "even", "scale"}
    assert lineage["nodes"] == {node: {"updates": 2, "refused": 0} for node in lineage["nodes"]}
    assert set(lineage["nodes"]) == set(told["history"][0]["nodes"])
    assert lineage["models"] == [
        {"model": "mine:1", "digest": stored.models("mine")[0].digest, "parents": []}
    ]
    assert lineage["versions"] == dict(run.versions)


def test_one_run_for_people(results, stored):
    run = stored.runs("mine")[0]
    done = results(run.id)
    assert (done.returncode, done.stderr) == (0, "")
    page, _, rounds = done.stdout.partition("\n\n")
    assert f"run: {run.id}\n" in page
    assert "nodes: '6 nodes: client-0, client-1, client-2, " in page
    head, *lines = rounds.splitlines()
    assert head.split() == ["round", "accuracy", "loss", "nodes", "refused", "seconds"]
    assert [line.split()[0] for line in lines] == ["1", "2"]
    assert {tuple(line.split()[3:5]) for line in lines} == {("6", "0")}


def test_what_was_refused_is_told_with_its_reason(results, stored):
    run = stored.runs("other")[0]
    refused = dict(stored.history(run.id)[0].refused)
    assert len(refused) == 1
    out = results(run.id).stdout
    for node, reason in refused.items():
        assert f"round 1 refused {node}: {reason}\n" in out
    nodes = json.loads(results(run.id, "--json").stdout)["lineage"]["nodes"]
    assert nodes[next(iter(refused))] == {"updates": 0, "refused": 2}


def test_a_run_that_was_killed_is_unfinished(results, stored, toys):
    run = stored.runs("mine")[0]
    (stored.path / "runs" / run.id / "result.json").unlink()
    row = next(r for r in json.loads(results("--json").stdout) if r["run"] == run.id)
    rounds = stored.history(run.id)
    assert (row["status"], row["rounds"], row["model"]) == ("unfinished", 2, {})
    assert row["metrics"] == rounds[-1].metrics
    assert row["bytes"]["sent"] == sum(r.sent for r in rounds)
    assert json.loads(results(run.id, "--json").stdout)["lineage"]["models"][0]["model"] == "mine:1"


def test_an_empty_repository_has_no_rows(results):
    assert json.loads(results("--json").stdout) == []
    assert results().stdout.startswith("run  task  status")


def test_a_run_that_is_not_there(results, stored):
    done = results("mine")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("aeros: run 'mine' is not stored\n  exists: 3 runs: mine-")
    assert done.stderr.endswith("  next: aeros results lists them all\n")


def test_a_task_that_is_not_there(results, stored):
    done = results("--task", "nobody")
    assert (done.returncode, done.stderr) == (
        1,
        "aeros: no run of task 'nobody' is stored\n  exists: 2 tasks: mine, other\n"
        "  next: aeros results lists them all\n",
    )


@pytest.mark.parametrize("words", [["RUN"], ["--task", "mine"]], ids=" ".join)
def test_nothing_is_there_yet(results, words):
    done = results(*words)
    assert done.returncode == 1
    assert done.stderr.endswith(" at all\n  next: aeros run makes one\n")


@pytest.mark.parametrize("words", [["a", "b"], ["a", "--task", "mine"]], ids=" ".join)
def test_words_that_do_not_fit_are_told(results, words):
    done = results(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "aeros: aeros results takes one run, or a task, or nothing for all runs\n"
        "  next: aeros results [RUN | --task NAME] [--json] repository.option=value\n"
    )


def test_a_repository_that_does_not_exist(aeros):
    done = aeros("results", "repository=nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("aeros: repository=nowhere does not exist\n  exists: ")

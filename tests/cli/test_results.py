import json
import shutil

import pytest


@pytest.fixture
def results(aeros):
    """A function that runs ``aeros results …`` on the toy repository."""
    return lambda *words: aeros("results", *words, "repository=files")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """Where the runs are kept that all tests begin with."""
    return tmp_path_factory.mktemp("results") / "toy-store"


@pytest.fixture
def stored(aeros, toy_words, toys, shelf):
    """Three runs, the last of another task and with a node that fails; oldest first."""
    runs = (
        ["task.name=mine", "task.seed=1"],
        ["task.name=mine", "task.seed=2"],
        ["task.name=other", "trainer.fail=[client-2]", "task.quorum=1"],
    )
    if not shelf.exists():
        for more in runs:
            assert aeros("run", *toy_words, "task.rounds=2", *more).returncode == 0
        shutil.copytree("toy-store", shelf)
    shutil.copytree(shelf, "toy-store", dirs_exist_ok=True)
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
    page, rounds, nodes = done.stdout.split("\n\n")
    assert f"run: {run.id}\n" in page
    assert "nodes: '6 nodes: client-0, client-1, client-2, " in page
    head, *lines = rounds.splitlines()
    assert head.split() == ["round", "accuracy", "loss", "nodes", "refused", "seconds"]
    assert [line.split()[0] for line in lines] == ["1", "2"]
    assert {tuple(line.split()[3:5]) for line in lines} == {("6", "0")}
    head, *lines = nodes.splitlines()
    columns = ["node", "updates", "refused", "dropped", "examples", "accuracy", "loss"]
    assert head.split() == columns
    last = stored.history(run.id)[-1].nodes
    assert [line.split() for line in lines] == [
        [
            node,
            "2",
            "0",
            "0",
            str(last[node]["examples"]),
            *(f"{last[node][name]:.4f}" for name in columns[5:]),
        ]
        for node in sorted(last)
    ]


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


@pytest.mark.parametrize(
    "words",
    [["a", "b"], ["a", "--task", "mine"], ["a", "--limit", "1"], ["a", "--newest"], ["--nodes"]],
    ids=" ".join,
)
def test_words_that_do_not_fit_are_told(results, words):
    done = results(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "aeros: aeros results takes one run, or what runs have to be, or nothing for all runs\n"
        "  next: aeros results [RUN [--nodes] | --task NAME --where KEY=VALUE …] [--json]"
        " repository.option=value\n"
    )


# ---------------------------------------------------------------- some of many runs


def chosen(results, *words):
    """The seeds of the runs that are chosen, in their order."""
    done = results(*words, "--json", "--columns", "task.seed,task")
    assert done.returncode == 0, done.stderr
    return [(row["task"], row["task.seed"]) for row in json.loads(done.stdout)]


ALL = [("mine", 1), ("mine", 2), ("other", 0)]


def test_runs_are_chosen(results, stored):
    """Which, is in test_queries.py."""
    assert chosen(results) == ALL
    assert chosen(results, "--newest", "--limit", "2") == [ALL[2], ALL[1]]
    assert chosen(results, "--limit", "1", "--offset", "1") == ALL[1:2]
    words = ("--where", "task.seed>=1", "--where", "task.name=mi*", "--status", "finished")
    assert chosen(results, *words, "--since", "1h") == ALL[:2]
    assert chosen(results, "--until", "1h") == chosen(results, "--status", "unfinished") == []


def test_a_part_is_meant_by_its_name(results, stored):
    for name in ("mean", "Mean"):
        assert chosen(results, "--where", f"collector={name}") == ALL
    assert chosen(results, "--where", "collector=median") == []
    assert chosen(results, "--where", "collector!=median") == ALL


def test_the_best_come_first(results, stored):
    rows = json.loads(results("--best", "accuracy", "--json").stdout)
    values = [row["metrics"]["accuracy"] for row in rows]
    assert values == sorted(values, reverse=True)
    assert len(rows) == 3


def test_columns_are_chosen(results, stored):
    done = results("--columns", "task.seed,collector,transformer,accuracy,model", "--limit", "2")
    head, *lines, told = done.stdout.splitlines()
    assert head.split() == ["task.seed", "collector", "transformer", "accuracy", "model"]
    ends = [stored.result(run.id) for run in stored.runs()]
    accuracy = f"{ends[0]['metrics']['accuracy']:.4f}"
    assert lines[0].split() == ["1", "mean", "blobs,", "even,", "scale", accuracy, "mine:1"]
    assert len(lines) == 2
    assert told == "1 to 2 of 3 runs; --offset 2 shows the next"
    assert results("--limit", "2", "--offset", "2").stdout.endswith("\n3 to 3 of 3 runs\n")
    assert results("--offset", "7").stdout.endswith("\nnone of 3 runs\n")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--where", "task.sed=1"], "no run was told, or has measured, task.sed\n  exists: "
         "metrics accuracy, loss; rounds, seconds; options of collector, "),
        (["--status", "done"], "--status done: no run can be that\n  exists: cancelled, "),
        (["--columns", "run,nothing"], "--columns nothing: no run that is shown has it\n"),
        (["--limit", "0"], "aeros results shows a page of the runs\n  exists: --limit from 1"),
        (["--offset", "-1"], "aeros results shows a page of the runs\n"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, list) else "",
)  # fmt: skip
def test_what_cannot_be_asked(results, stored, words, said):
    done = results(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr


def test_a_run_whose_records_are_damaged_is_told_and_the_others_listed(results, stored):
    run = stored.runs("mine")[0]
    (stored.path / "runs" / run.id / "result.json").write_text("{")
    done = results("--json")
    assert done.returncode == 0
    assert [row["status"] for row in json.loads(done.stdout)] == ["damaged", "FINISHED", "FINISHED"]
    assert f"aeros: run '{run.id}' cannot be read: " in done.stderr
    assert chosen(results, "--status", "damaged") == ALL[:1]
    assert results(run.id).returncode == 1


def test_what_each_node_did(results, stored):
    run = stored.runs("other")[0]
    told = json.loads(results(run.id, "--json").stdout)["nodes"]
    history = stored.history(run.id)
    assert told["client-2"] == {
        "updates": 0, "refused": 2, "dropped": told["client-2"]["dropped"], "examples": 0,
        "metrics": {},
    }  # fmt: skip
    last = dict(history[-1].nodes["client-1"])
    assert told["client-1"] == {
        "updates": 2, "refused": 0, "dropped": 0, "examples": last.pop("examples"),
        "metrics": last,
    }  # fmt: skip
    *_, line = results(run.id).stdout.splitlines()
    assert line.split()[:3] == ["client-2", "0", "2"]


def test_a_repository_that_does_not_exist(aeros):
    done = aeros("results", "repository=nowhere")
    assert done.returncode == 2
    assert done.stderr.startswith("aeros: repository=nowhere does not exist\n  exists: ")

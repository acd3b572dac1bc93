"""Batch inference over Flower: a stored model answers where the data lie."""

import json

import numpy as np
import pytest
from forked_python import python

pytest.importorskip("aeros_flower")
pd = pytest.importorskip("pandas")

TABLE = ("transformer=[table,iid,stack,standardise]", "transformer.table.label=price",
         "trainer/model=mlp", "task.name=prices")  # fmt: skip

POLICY = "tasks: [infer]\npredictions: true\ndisclosures: [counts, sums, extremes]\n"


def flats(seed, rows, away=0.0):
    rng = np.random.default_rng(seed)
    size, age = rng.uniform(20, 120, rows) + away, rng.uniform(0, 80, rows)
    return pd.DataFrame({"size": size, "age": age, "price": 3.0 * size - age + 100.0})


@pytest.fixture
def executors(aeros, port):
    """A function that starts executors with data of their own: ``executors(site="a.csv")``."""
    running = []

    def start(**files):
        for name, path in files.items():
            words = ["-m", "aeros_core.cli.main", "executor", f"127.0.0.1:{port}", "--name", name,
                     "--own", "--set", f"transformer.table.path={path}",
                     "--set", "transformer.table.test_fraction=0"]  # fmt: skip
            words += ["--policy", "policy.yaml"]
            policy = aeros.folder / "policy.yaml"
            policy.write_text(POLICY)
            policy.chmod(0o600)
            if "price" not in (aeros.folder / path).read_text().partition("\n")[0]:
                words += ["--set", "transformer.table.label=null"]
            with (aeros.folder / f"{name}.log").open("w") as log:
                running.append(python(words, cwd=aeros.folder, stdout=log, stderr=log))
        return ("deployment=flower", f"controller.port={port}", f"controller.nodes={len(files)}",
                "controller.wait=300")  # fmt: skip

    yield start
    for process in running:
        process.kill()
        process.wait(300)


def last(aeros):
    return max(aeros.folder.glob("outputs/*/*"), key=lambda folder: folder.name)


@pytest.fixture
def trained(aeros):
    flats(0, 400).to_csv(aeros.folder / "train.csv", index=False)
    words = ("experiment=null", *TABLE, "transformer.table.path=train.csv")
    fields = "transformer.standardise.fields=[features,price]"
    aeros("run", *words, fields, "task.rounds=20", "trainer.batch_size=8", "trainer.lr=0.05")
    return words


def test_each_site_answers_about_its_own_table_in_the_targets_unit(aeros, executors, trained):
    sites = {"bremen": flats(1, 90), "ulm": flats(2, 30, away=40.0).drop(columns="price")}
    for name, rows in sites.items():
        rows.to_csv(aeros.folder / f"{name}.csv", index=False)
    asked = ["task=inference", "task.name=ask", "task.start=prices", "task.collect=predictions"]
    flower = executors(bremen="bremen.csv", ulm="ulm.csv")
    out = aeros.apart("run", *trained, *flower, *asked)
    assert "2 nodes answered 120 rows" in out
    result = json.loads((last(aeros) / "result.json").read_text())
    [done] = [json.loads(line) for line in (last(aeros) / "rounds.jsonl").read_text().splitlines()]
    assert set(done["nodes"]) == {"bremen", "ulm"}
    assert "mae" not in done["nodes"]["ulm"]
    truth = sites["bremen"]["price"].to_numpy()
    with np.load(last(aeros) / "predictions" / "bremen.npz") as answers:
        assert answers["row"].tolist() == list(range(90))
        scores = answers["scores"].ravel()
    assert done["nodes"]["bremen"]["mae"] == pytest.approx(np.abs(scores - truth).mean(), rel=1e-5)
    assert result["metrics"]["mae"] == done["nodes"]["bremen"]["mae"]
    assert result["metrics"]["mae"] < 0.2 * truth.std()
    with np.load(last(aeros) / "predictions" / "ulm.npz") as answers:
        assert answers["scores"].mean() > scores.mean() + 60  # 40 m2 more at 3 each


def test_a_site_with_other_columns_is_named_before_anything_is_asked(aeros, executors, trained):
    flats(1, 20).rename(columns={"age": "years"}).to_csv(aeros.folder / "other.csv", index=False)
    flower = executors(other="other.csv")
    told = aeros.apart("run", *trained, *flower, "task=inference", "task.start=prices", code=2)
    assert "other: the data are not what model 'prices' takes: column 'age' is missing" in told


def test_answers_over_flower_are_those_of_one_process(aeros, port):
    aeros("run", "task.rounds=2")
    asked = ["task=inference", "task.name=ask", "task.start=digits", "task.collect=predictions"]
    aeros("run", *asked)
    here = last(aeros)
    aeros.apart("up", "--nodes", "2", "--port", str(port))
    try:
        aeros.apart("run", *asked, "deployment=flower", "controller.wait=300")
    finally:
        aeros.apart("down")
    there = last(aeros)
    names = sorted(path.name for path in (here / "predictions").iterdir())
    assert len(names) == 10
    for name in names:
        with (
            np.load(here / "predictions" / name) as one,
            np.load(there / "predictions" / name) as two,
        ):
            assert one.files == two.files
            for array in one.files:
                np.testing.assert_array_equal(one[array], two[array])
    results = [json.loads((folder / "result.json").read_text()) for folder in (here, there)]
    assert results[0]["metrics"] == results[1]["metrics"]
    assert results[0]["model"] == results[1]["model"]

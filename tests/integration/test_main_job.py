"""The main job, as a newcomer runs it."""

import json

import pytest


def test_digits_reaches_95_percent_and_leaves_its_files(aeros):
    out = aeros.apart("run")
    result = aeros.result()
    assert result["metrics"]["accuracy"] >= 0.95
    assert set(result) == {
        "task", "status", "rounds", "metrics", "model", "seconds", "bytes", "versions", "dropped",
    }  # fmt: skip
    assert result["status"] == "FINISHED"
    assert set(result["model"]) == {"name", "version", "digest"}
    assert set(result["bytes"]) == {"sent", "received"}
    [folder] = {path.parent for path in aeros.folder.glob("outputs/*/*/result.json")}
    assert str(folder) in out
    lines = (folder / "rounds.jsonl").read_text().splitlines()
    assert [json.loads(line)["round"] for line in lines] == list(range(1, result["rounds"] + 1))
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert "clients: 10" in (folder / "config.yaml").read_text()
    assert "digits" in aeros("models", "list")
    assert result["model"]["digest"] in aeros("models", "show", "digits")


def test_same_seed_same_bits_and_another_seed_others(aeros):
    aeros("run", "-m", "task.rounds=3", "task.seed=3,4")
    first, other = (row["model"]["digest"] for row in aeros.results())
    aeros.apart("run", "task.rounds=3", "task.seed=3")
    assert first == aeros.result()["model"]["digest"] != other


@pytest.mark.parametrize("collector", [pytest.param("fedavg", marks=pytest.mark.soak), "fedadam"])
def test_killed_and_resumed_ends_with_the_same_bits(aeros, collector):
    words = ["task.rounds=12", f"collector={collector}", "trainer.momentum=0.9"]
    aeros("run", *words, "repository.path=undisturbed")
    expected = aeros.result()["model"]["digest"]
    for rounds in (2, 7):
        aeros.kill_after(rounds, *words, "task.resume=true", "repository.path=killed")
    aeros("run", *words, "task.resume=true", "repository.path=killed")
    assert aeros.result()["rounds"] == 12
    assert aeros.result()["model"]["digest"] == expected


def test_every_first_rule_learns(aeros):
    rules = "fedavg,fedavgm,fedprox,fedadam,median"
    aeros("run", "-m", f"collector={rules}", "task.rounds=8")
    assert len(aeros.results()) == 5
    for result in aeros.results():
        assert result["metrics"]["accuracy"] > 0.7


def test_sweep_and_compare(aeros):
    aeros("run", "-m", "collector=fedavg,median", "task.rounds=2", "task.seed=0,1")
    rows = json.loads(aeros("compare", "multirun/digits", "--json"))
    assert len(rows) == 4
    assert {(row["collector"], row["task.seed"]) for row in rows} == {
        ("fedavg", 0), ("fedavg", 1), ("median", 0), ("median", 1),
    }  # fmt: skip
    assert (aeros.folder / "multirun/digits/compare.png").exists()


def test_federated_evaluation_on_held_out_data(aeros):
    aeros("run", "task.rounds=2", "task.evaluation.federated=true", "task.evaluation.central=false")
    assert set(aeros.result()["metrics"]) == {"accuracy", "loss"}


def test_mnist_for_two_rounds(aeros, real_data):
    path = f"transformer.mnist.path={real_data / 'mnist'}"
    aeros("run", "experiment=mnist", path, "task.rounds=2", "trainer/model=softmax")
    assert aeros.result()["metrics"]["accuracy"] > 0.2


@pytest.mark.accuracy
def test_mnist_reaches_97_percent(aeros, real_data):
    path = f"transformer.mnist.path={real_data / 'mnist'}"
    aeros("run", "experiment=mnist", path, "task.stop.target=0.97")
    assert aeros.result()["metrics"]["accuracy"] >= 0.97
    assert aeros.result()["rounds"] <= 120

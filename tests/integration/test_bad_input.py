"""What people get wrong: one clear message, the right exit code, no traceback."""

import subprocess
import sys

import pytest

from aeros_core.cli import main

CASES = {
    "unknown plugin": (["collector=medain"], 2, ["collector=medain", "next: collector=median"]),
    "unknown option": (["trainer.lrr=1"], 2, ["trainer.lrr", "next: trainer.lr=<value>"]),
    "wrong type": (["trainer.epochs=many"], 2, ["trainer.epochs", "many"]),
    "foreign target": (["collector._target_=os.system"], 2, ["os.system", "never runs code"]),
    "foreign model": (["trainer.model._target_=os.system"], 2, ["os.system", "never runs code"]),
    "unknown optimizer": (["trainer.optimizer=sdg"], 2, ["sdg", "SGD"]),
    "unknown optimizer option": (["+trainer.optimizer_options.mom=1"], 2, ["mom", "momentum"]),
    "unknown scheduler": (["trainer.scheduler=Cosin"], 2, ["Cosin"]),
    "unknown loss": (["trainer.loss=hinge2"], 2, ["hinge2"]),
    "negative rate": (["trainer.lr=-1"], 2, ["lr"]),
    "too many clients": (["transformer.dirichlet.clients=5000"], 2, ["5000", "1438"]),
    "fewer clients than asked": (["task.cohort=11"], 2, ["task.cohort=11", "10 nodes"]),
    "schema and model": (
        ["experiment=breast_cancer", "trainer/model=cnn"],
        2,
        ["the model declares", "features"],
    ),
    "option of what is not chosen": (["transformer.shards.clients=3"], 2, ["transformer"]),
    "option of what was replaced": (
        ["transformer=[digits,iid]", "transformer.dirichlet.alpha=3"],
        2,
        ["not chosen"],
    ),
    "no data there": (["experiment=mnist"], 2, ["data/mnist", "transformer.mnist.path"]),
    "unknown experiment": (["experiment=digit"], 2, ["experiment=digit", "digits"]),
    "resume another": (["task.resume=true", "trainer.lr=9"], 2, ["trainer.lr=0.1"]),
}


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A directory in which `aeros run` has run once."""
    folder = tmp_path_factory.mktemp("begun")
    command = [sys.executable, "-m", "aeros_core.cli.main", "run", "task.rounds=1"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_one_clear_message(begun, name, monkeypatch, capsys):
    words, code, parts = CASES[name]
    monkeypatch.chdir(begun)
    monkeypatch.setattr(sys, "argv", ["aeros"])
    assert main.main(["run", *words]) == code
    said = capsys.readouterr().err
    assert said.startswith("aeros: ")
    assert "Traceback" not in said
    for part in parts:
        assert part in said


def table(aeros, text):
    (aeros.folder / "table.csv").write_text(text)
    return [
        "experiment=null", "transformer=[table,iid,stack]", "transformer.table.path=table.csv",
        "transformer.table.label=sick", "transformer.iid.clients=2", "task.rounds=1",
    ]  # fmt: skip


ROWS = "".join(f"{i},{i % 7},{'yes' if i % 3 else 'no'}\n" for i in range(40))


def test_a_table_of_ones_own(aeros):
    aeros("run", *table(aeros, "age,dose,sick\n" + ROWS))
    assert aeros.result()["status"] == "FINISHED"


def test_label_column_that_does_not_exist(aeros):
    err = aeros("run", *table(aeros, "age,dose,sik\n" + ROWS), code=2)
    assert "sick" in err
    assert "age, dose, sik" in err


def test_nan_in_the_data(aeros):
    words = table(aeros, "age,dose,sick\n" + ROWS + ",3,yes\n")
    err = aeros("run", *words, "transformer.table.test_fraction=0", code=1)
    assert "age" in err
    assert "NaN" in err
    aeros("run", *words, "transformer.table.drop_missing=true")


def test_read_only_repository(aeros):
    # /proc refuses new directories to everybody, root included
    err = aeros("run", "task.rounds=1", "repository.path=/proc/store", code=1)
    assert "/proc/store" in err
    assert "Traceback" not in err

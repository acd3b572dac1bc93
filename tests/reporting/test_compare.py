import json

import pytest
from omegaconf import OmegaConf

from aeros_core.errors import ConfigError
from aeros_core.reporting import compare
from aeros_core.results import Result, Round, Status


@pytest.fixture
def leave(tmp_path):
    """A function that leaves a run's directory behind, as `RunDirectory` does."""

    def make(name, *, options=(), losses=(1.0, 0.5), status=Status.FINISHED):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        config = OmegaConf.create(
            {
                "task": {"name": name, "seed": 0, "resume": False},
                "collector": {"_target_": "toy_parts.Mean", "momentum": 0.0},
                "trainer": {"_target_": "toy_parts.Linear", "lr": 0.5},
                "repository": {"_target_": "toy_parts.Files", "path": name},
            }
        )
        for path, value in dict(options).items():
            OmegaConf.update(config, path, value, merge=False)
        (folder / "config.yaml").write_text(OmegaConf.to_yaml(config))
        rounds = [
            Round(i, {"loss": loss}, {}, {}, {}, {}, {}, 0, 0)
            for i, loss in enumerate(losses, start=1)
        ]
        (folder / "rounds.jsonl").write_text(
            "".join(json.dumps(done.to_json()) + "\n" for done in rounds)
        )
        metrics = {"loss": losses[-1]} if losses else {}
        result = Result(name, status, len(losses), metrics, {}, 1.234, 0, 0, {})
        (folder / "result.json").write_text(json.dumps(result.to_json()))
        return folder

    return make


def test_runs_are_read_in_the_order_of_their_numbers(leave, tmp_path):
    for name in ("10", "2", "1", "again/0"):
        leave(name)
    assert [record.name for record in compare.read(tmp_path)] == ["again/0", "1", "2", "10"]


def test_a_record_holds_options_rounds_and_result(leave, tmp_path):
    leave("0")
    (record,) = compare.read(tmp_path)
    assert record.options["trainer.lr"] == 0.5
    assert [done.number for done in record.rounds] == [1, 2]
    assert record.result.metrics == {"loss": 0.5}


def test_a_row_for_each_run_tells_what_differs_and_what_came_of_it(leave, tmp_path):
    leave("0")
    leave("1", options={"trainer.lr": 0.1, "task.seed": 3}, losses=(1.0,), status=Status.FAILED)
    rows = compare.compare(compare.read(tmp_path))
    assert rows == [
        {
            "run": "0", "task.seed": 0, "trainer.lr": 0.5, "status": "FINISHED", "rounds": 2,
            "loss": 0.5, "seconds": 1.23,
        },
        {
            "run": "1", "task.seed": 3, "trainer.lr": 0.1, "status": "FAILED", "rounds": 1,
            "loss": 1.0, "seconds": 1.23,
        },
    ]  # fmt: skip


def test_where_a_part_differs_its_options_are_not_told_besides(leave, tmp_path):
    leave("0")
    leave("1", options={"collector": {"_target_": "other.Median", "trim": 0.1}})
    records = compare.read(tmp_path)
    assert compare.columns(records) == ["collector._option_"]
    rows = compare.compare(records)
    assert [row["collector"] for row in rows] == ["Mean", "Median"]


def test_an_option_that_a_run_does_not_have_is_empty(leave, tmp_path):
    leave("0")
    leave("1", options={"trainer.warmup": 3})
    assert [row["trainer.warmup"] for row in compare.compare(compare.read(tmp_path))] == ["", 3]


def test_runs_that_differ_in_nothing_are_told_by_their_directory(leave, tmp_path):
    leave("0")
    leave("1")
    assert compare.columns(compare.read(tmp_path)) == []


def test_the_curves_of_all_runs_are_one_png(leave, tmp_path):
    leave("0")
    leave("1", losses=())
    compare.draw(compare.read(tmp_path), tmp_path / "compare.png")
    assert (tmp_path / "compare.png").read_bytes().startswith(b"\x89PNG")


def test_a_directory_without_a_run_is_told(tmp_path):
    with pytest.raises(ConfigError) as refused:
        compare.read(tmp_path)
    assert str(refused.value) == (
        f"no run lies below {tmp_path}\n  exists: a run's directory holds result.json\n"
        "  next: aeros run -m collector=fedavg,median makes a sweep in multirun/"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.yaml", "a: [1"),
        ("config.yaml", "- 1\n- 2\n"),
        ("rounds.jsonl", '{"round": 1}\n'),
        ("rounds.jsonl", "not json\n"),
        ("rounds.jsonl", "[1]\n"),
        ("result.json", "{"),
        ("result.json", "[]"),
        ("result.json", '{"task": "x", "status": "GONE"}'),
        ("rounds.jsonl", None),
        ("config.yaml", None),
    ],
)
def test_a_damaged_directory_is_told_by_name(leave, tmp_path, name, text):
    folder = leave("0")
    (folder / name).unlink()
    if text is not None:
        (folder / name).write_text(text)
    with pytest.raises(ConfigError) as refused:
        compare.read(tmp_path)
    assert refused.value.asked.startswith(f"{folder} is no run's directory: ")
    assert refused.value.exists == "config.yaml, rounds.jsonl and result.json"
    assert refused.value.hint == "move it away, or compare another directory"

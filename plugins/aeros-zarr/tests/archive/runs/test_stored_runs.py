import logging
import re

import numpy as np
import pytest

from aeros_core.errors import RepositoryError
from aeros_zarr.format.manifest import dump


def blobs(path, run="a"):
    return sorted(folder.name for folder in (path / "runs" / run / "blobs").iterdir())


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def chunk(path, examples, number):
    """The chunk file of a round's parameters."""
    bytes_ = examples.checkpoint(number).parameters.vector.tobytes()
    [file] = [f for f in (path / "runs/a/blobs").glob("*/c.0") if f.read_bytes() == bytes_]
    return file


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_parameters_of_the_last_rounds_are_kept_and_metrics_of_all(examples, tmp_path, keep):
    repository = examples.store(tmp_path, keep=keep)
    repository.begin(examples.run())
    for number in range(1, 7):
        repository.commit("a", examples.checkpoint(number))
        assert len(blobs(tmp_path)) == min(keep, number)
    assert [r.number for r in repository.history("a")] == [1, 2, 3, 4, 5, 6]
    assert repository.latest("a").parameters.digest == examples.checkpoint(6).parameters.digest


def test_an_array_that_does_not_change_is_kept_while_a_round_names_it(examples, tmp_path):
    repository = examples.store(tmp_path, keep=1)
    repository.begin(examples.run())
    state = {"collector": {"fixed": np.arange(9, dtype=np.float32)}}
    for number in (1, 2, 3):
        repository.commit("a", examples.checkpoint(number, state=state))
        assert len(blobs(tmp_path)) == 2
    found = repository.latest("a").state["collector"]["fixed"]
    assert np.array_equal(found, state["collector"]["fixed"])


def test_every_instance_prunes_what_others_left(examples, tmp_path):
    examples.filled(tmp_path, rounds=0)
    for number in range(1, 6):
        examples.store(tmp_path).commit("a", examples.checkpoint(number))
        assert len(blobs(tmp_path)) == min(2, number)


def test_keep_may_change_between_two_sittings(examples, tmp_path):
    examples.filled(tmp_path, rounds=4, keep=3)
    examples.store(tmp_path, keep=1).commit("a", examples.checkpoint(5))
    assert len(blobs(tmp_path)) == 1
    for number in (6, 7):
        examples.store(tmp_path, keep=5).commit("a", examples.checkpoint(number))
    assert len(blobs(tmp_path)) == 3


def test_two_instances_that_take_turns(examples, tmp_path):
    first, second = examples.filled(tmp_path, rounds=1), examples.store(tmp_path)
    for number in range(2, 8):
        (first, second)[number % 2].commit("a", examples.checkpoint(number))
    assert len(blobs(tmp_path)) == 2
    assert [r.number for r in first.history("a")] == list(range(1, 8))
    assert second.latest("a").round.number == 7


def test_a_damaged_round_is_passed_over_and_said(examples, tmp_path, caplog):
    repository = examples.filled(tmp_path)
    file = chunk(tmp_path, examples, 3)
    flip(file)
    with caplog.at_level(logging.WARNING):
        found = repository.latest("a")
    assert found.round.number == 2
    assert found.parameters.digest == examples.checkpoint(2).parameters.digest
    assert f"round 3 of run 'a' is passed over: {file} is damaged" in caplog.text


def test_the_round_after_a_damaged_one_was_passed_over(examples, tmp_path):
    """The task does round 3 again, with the same result to the last bit."""
    examples.filled(tmp_path)
    flip(chunk(tmp_path, examples, 3))
    examples.store(tmp_path).commit("a", examples.checkpoint(3))
    found = examples.store(tmp_path).latest("a")
    assert found.round.number == 3
    assert found.parameters.digest == examples.checkpoint(3).parameters.digest


def test_a_damaged_record_is_passed_over_too(examples, tmp_path, caplog):
    repository = examples.filled(tmp_path)
    flip(tmp_path / "runs/a/rounds/3.json")
    assert repository.latest("a").round.number == 2
    examples.store(tmp_path).commit("a", examples.checkpoint(3))
    assert [r.number for r in examples.store(tmp_path).history("a")] == [1, 2, 3]


def test_nothing_whole_is_an_error_not_a_fresh_start(examples, tmp_path):
    repository = examples.filled(tmp_path)
    files = [chunk(tmp_path, examples, number) for number in (2, 3)]
    for file in files:
        flip(file)
    with pytest.raises(RepositoryError) as caught:
        repository.latest("a")
    assert str(caught.value) == (
        f"{files[1]} is damaged: its SHA-256 is not the one it was stored with\n"
        "  next: aeros models verify --heal, or --heal-from COPY, a copy of the repository"
    )


def test_a_damaged_record_ends_a_history(examples, tmp_path):
    repository = examples.filled(tmp_path)
    flip(tmp_path / "runs/a/rounds/2.json")
    with pytest.raises(RepositoryError, match=re.escape("runs/a/rounds/2.json is damaged")):
        repository.history("a")


def test_a_damaged_run_is_left_out_of_the_list_and_said(examples, tmp_path, caplog):
    repository = examples.filled(tmp_path)
    repository.begin(examples.run("b"))
    flip(tmp_path / "runs/a/run.json")
    assert [run.id for run in repository.runs()] == ["b"]
    assert "run 'a' is left out" in caplog.text


def test_a_commit_meanwhile_does_not_disturb_a_reader(examples, tmp_path, monkeypatch):
    """With keep=1 a commit removes what the reader has just begun to read."""
    repository = examples.filled(tmp_path, keep=1)
    reader = examples.store(tmp_path, keep=1)
    read, numbers = reader._runs._content, []

    def slow(run, number):
        content = read(run, number)
        if not numbers:
            numbers.append(number)
            repository.commit("a", examples.checkpoint(4))
        return content

    monkeypatch.setattr(reader._runs, "_content", slow)
    assert reader.latest("a").round.number == 4
    assert numbers == [3]


def test_beginning_the_same_run_again_changes_nothing(examples, tmp_path):
    repository = examples.filled(tmp_path)
    repository.begin(examples.run())
    assert repository.latest("a").round.number == 3
    with pytest.raises(RepositoryError) as caught:
        repository.begin(examples.run(task="other"))
    assert str(caught.value) == (
        "run 'a' cannot begin: there is another run of this name\n"
        "  exists: run a\n"
        "  next: start it under another id"
    )


@pytest.mark.parametrize(("names", "exists"), [([], "no run at all"), (["a", "b"], "runs a, b")])
def test_an_unknown_run_names_those_that_exist(examples, tmp_path, names, exists):
    repository = examples.store(tmp_path)
    for name in names:
        repository.begin(examples.run(name))
    with pytest.raises(RepositoryError) as caught:
        repository.latest("c")
    assert str(caught.value) == f"run 'c' does not exist\n  exists: {exists}"


@pytest.mark.parametrize("value", [[1.0], None, {"a": 1}, b"x"])
def test_a_state_of_something_else_is_refused(examples, tmp_path, value):
    repository = examples.filled(tmp_path)
    with pytest.raises(RepositoryError) as caught:
        repository.commit("a", examples.checkpoint(4, state={"collector": {"x": value}}))
    assert str(caught.value) == (
        f"a state that holds a {type(value).__name__} cannot be stored\n"
        "  exists: arrays, floats, integers and text can be stored\n"
        "  next: change what the plugin's state() returns"
    )
    assert repository.latest("a").round.number == 3


def test_numpy_scalars_in_a_state_are_scalars(examples, tmp_path):
    repository = examples.filled(tmp_path, rounds=0)
    state = {"collector": {"x": np.float32(0.1), "n": np.int64(2**62)}}
    repository.commit("a", examples.checkpoint(1, state=state))
    assert repository.latest("a").state["collector"] == {"x": float(np.float32(0.1)), "n": 2**62}


def test_a_result_that_is_damaged_is_named(examples, tmp_path):
    repository = examples.filled(tmp_path)
    (tmp_path / "runs/a/result.json").write_bytes(dump("round", {}))
    with pytest.raises(RepositoryError, match=r"result\.json is damaged"):
        repository.result("a")

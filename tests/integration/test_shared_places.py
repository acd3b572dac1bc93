"""Places that are shared: files of others, two processes of one run, a full disk."""

import os
import signal
import time
from pathlib import Path

import pytest

RUN = ("run", "task.rounds=2", "repository.path=store")


def old(path, text="mine"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time.time() - 30 * 86400,) * 2)
    return path


def test_a_thesis_in_tmp_stays_and_another_place_is_advised(aeros):
    theirs = [
        old(aeros.folder / f"DIR/{name}") for name in ("tmp/thesis.tex", "blobs/photos/a.jpg")
    ]
    for words in (("run", "task.rounds=1"), ("models", "gc", "--hours", "0")):
        said = aeros(*words, "repository.path=DIR", code=2)
        assert "is not a repository of aeros: it has blobs, tmp but no format.json" in said
        assert "next: repository.path=DIR/aeros-repository" in said
    assert all(path.read_text() == "mine" for path in theirs)
    assert sorted(p.name for p in (aeros.folder / "DIR").iterdir()) == ["blobs", "tmp"]
    aeros("run", "task.rounds=1", "repository.path=DIR/aeros-repository")
    aeros("models", "list", "repository.path=DIR/aeros-repository")


THEIRS = ("tmp/thesis.tex", "tmp/1-0123456789ab", "blobs/photos/a.jpg", "models/.DS_Store",
          "runs/.DS_Store", "runs/Thumbs.db", ".DS_Store", "algorithms/x.txt",
          "models/digits/notes", "tmp/hidden-x/y", f"blobs/{'a' * 64}/a.jpg")  # fmt: skip


def test_no_verb_fails_for_files_of_others_nor_changes_them(aeros):
    aeros(*RUN)
    theirs = {old(aeros.folder / "store" / name): name for name in THEIRS}
    before = {path: path.stat().st_mtime_ns for path in theirs}
    where = "repository.path=store"
    aeros(*RUN, "task.resume=true")
    aeros(*RUN, "task.seed=7")
    assert "digits" in aeros("models", "list", where)
    aeros("models", "show", "digits", where)
    aeros("models", "tag", "digits:1", "best", where)
    aeros("models", "export", "digits", "digits.safetensors", where)
    aeros("models", "import", "digits.safetensors", "--name", "copy", where)
    assert aeros("results", where).count("FINISHED") == 2
    assert "none is damaged" in aeros("models", "verify", where)
    aeros("models", "verify", "--heal", where)
    aeros("models", "gc", "--hours", "0", "--keep-last", "1", where)
    assert {path: path.stat().st_mtime_ns for path in theirs} == before
    assert all(path.read_text() == "mine" for path in theirs)


def test_a_second_resume_is_told_who_holds_the_run_and_takes_it_over(aeros):
    words = ("run", "task.rounds=5000", "repository.path=store")
    first = aeros.start(*words)
    try:
        for line in first.stdout:
            if line.startswith("round 2/"):
                break
        said = aeros(*words, "task.resume=true", code=2)
        assert f"is held by another process: process {first.pid} of " in said
        first.send_signal(signal.SIGKILL)
        first.wait(300)
    finally:
        first.kill()
        first.stdout.close()
        first.stderr.close()
    [run] = (aeros.folder / "store/runs").iterdir()
    rounds = max(int(path.stem) for path in (run / "rounds").iterdir())
    out = aeros("run", f"task.rounds={rounds + 1}", "repository.path=store", "task.resume=true")
    assert f"goes on after round {rounds}" in out
    assert not (run / "lock.json").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("full", [("result.json",), ("rounds.jsonl", "result.json", "curve.png")])
def test_with_a_full_output_disk_all_tell_the_same(aeros, full):
    folder = aeros.folder / "out"
    folder.mkdir()
    for name in full:
        (folder / name).symlink_to("/dev/full")
    out = aeros(*RUN, "hydra.run.dir=out")
    assert "digits: FINISHED after 2 rounds" in out
    assert "FINISHED" in aeros("results", "repository.path=store")
    [result] = (aeros.folder / "store/runs").glob("*/result.json")
    assert '"status":"FINISHED"' in result.read_text()


@pytest.mark.parametrize(
    ("option", "why"),
    [
        ("task.name=con", "some systems reserve it"),
        ("task.name=aux.1", "some systems reserve it"),
        ("task.name=a.", "it ends in a dot"),
        ("task.name=DIGITS", "only in case"),
        (f"task.name={'x' * 129}", "up to 100 letters"),
    ],
)
def test_names_that_some_system_cannot_keep_are_not_given(aeros, option, why):
    aeros("run", "task.rounds=1", "repository.path=store")
    assert why in aeros("run", "task.rounds=1", "repository.path=store", option, code=2)
    assert len(list((aeros.folder / "store/runs").iterdir())) == 1


def test_reading_verbs_change_nothing(aeros):
    aeros(*RUN)
    store, where = aeros.folder / "store", "repository.path=store"
    [run] = (store / "runs").iterdir()
    before = {path: path.lstat().st_ctime_ns for path in (store, *store.rglob("*"))}
    for words in (
        ("results",), ("results", run.name), ("results", "--json"), ("models", "list"),
        ("models", "list", "--newest", "--limit", "3"), ("models", "show", "digits"),
        ("models", "verify"), ("models", "verify", "digits:1"),
        ("models", "export", "digits", "digits.safetensors"),
        ("models", "gc", "--dry-run", "--keep-last", "1"),
    ):  # fmt: skip
        aeros(*words, where)
    assert {path: path.lstat().st_ctime_ns for path in (store, *store.rglob("*"))} == before


def test_reading_makes_no_repository(aeros):
    aeros("results", "repository.path=none")
    aeros("models", "list", "repository.path=none")
    aeros("models", "gc", "repository.path=none")
    assert not (aeros.folder / "none").exists()

"""Delayed writes: what waits for an upload never takes the place of something newer."""

import logging
from dataclasses import replace

import pytest
from endpoints import repository
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.results import Result, Round, Status
from aeros_zarr.archive.runs.pending_uploads import State, is_superseded, missing


def done(number, seed=0):
    return Round(number, {"loss": 1.0 / number + seed}, {}, {}, {}, {}, {}, 0, 0)


def rounds(first, last, seed=0):
    return [done(number, seed) for number in range(first, last + 1)]


def ended(number, status=Status.FINISHED):
    return Result("task", status, number, {}, {}, 0.0, 0, 0, {})


def end(number, status=Status.FINISHED):
    return ended(number, status).to_json()


@pytest.mark.parametrize(
    ("waiting", "there", "before", "superseded"),
    [
        (State(rounds(6, 8), None), State(rounds(1, 5), None), None, False),
        (State(rounds(6, 8), None), State(rounds(1, 40), end(40)), None, True),
        (State(rounds(6, 8), None), State(rounds(1, 5) + rounds(6, 7), None), None, False),
        (State(rounds(6, 8), None), State(rounds(1, 5) + rounds(6, 6, 1), None), None, True),
        (State(rounds(6, 8), None), State(rounds(1, 9), None), None, True),
        (State(rounds(6, 8), None), State(rounds(1, 3), None), None, True),
        (State(rounds(6, 8), end(8)), State(rounds(1, 5), end(5, "FAILED")), None, False),
        (State(rounds(6, 8), end(8)), State(rounds(1, 8), None), None, False),
        (State([], end(5)), State(rounds(1, 5), None), None, False),
        (State([], end(5)), State(rounds(1, 5), end(5)), None, False),
        (State([], end(5, "FAILED")), State(rounds(1, 5), end(5)), None, True),
        (State([], end(5)), State(rounds(1, 5), end(5, "FAILED")), None, True),
        (State([], end(5)), State(rounds(1, 5), end(5, "FAILED")), end(5, "FAILED"), False),
        (State([], end(5, "FAILED")), State(rounds(1, 7), None), None, True),
        (State(rounds(6, 8), None), State(rounds(1, 5), end(5, "INTERRUPTED")), None, False),
    ],
)
def test_what_is_newer_stays(waiting, there, before, superseded):
    assert is_superseded(waiting, there, before) is superseded


@given(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9), st.integers(0, 1))
def test_what_goes_only_adds_to_what_there_is(base, count, there, seed):
    """Whatever the bucket has: no round of it is replaced, and none is left out."""
    waiting = State(rounds(base + 1, base + count), None)
    have = State(rounds(1, there, seed), None)
    if not is_superseded(waiting, have, None):
        numbers = [r.number for r in have.rounds] + missing(waiting, have)
        assert numbers == list(range(1, max(there, base + count) + 1))
        assert max(numbers) == base + count


def test_a_state_is_told_in_words():
    said = str(State(rounds(6, 8), end(8)))
    assert said == "rounds 6 to 8 and its end (FINISHED after 8 rounds)"
    assert str(State([], None)) == "no round"


# ---------------------------------------------------------------- two machines


@pytest.fixture
def machines(faulty, s3, tmp_path, examples, caplog):
    """One machine with rounds 1 to 5 in the bucket and 6 to 8 in its spool, and another one."""
    caplog.set_level(logging.WARNING)
    first = repository(faulty.url, tmp_path, retries=0)
    first.begin(examples.run())
    for number in range(1, 6):
        first.commit("a", examples.checkpoint(number))
    faulty.fault = lambda method, path: 503
    for number in range(6, 9):
        first.commit("a", examples.checkpoint(number))
    faulty.fault = lambda method, path: None
    prefix = first._store._s3.prefix

    def here():
        return repository(faulty.url, tmp_path, prefix=prefix)

    def other():
        return repository(s3, tmp_path / "other", prefix=prefix)

    return here, other


def went_on(other, examples, last=12):
    store = other()
    store.acquire("a")
    for number in range(6, last + 1):
        store.commit("a", examples.checkpoint(number, seed=7))
    store.finish("a", ended(last))
    store.release("a")
    return store


def test_a_reader_uploads_nothing_and_says_what_waits(machines, faulty, caplog):
    here, _ = machines
    faulty.seen.clear()
    store = here()
    assert store.latest("a").round.number == 5
    assert [r.number for r in store.history("a")] == [1, 2, 3, 4, 5]
    assert store.result("a") is None
    assert {method for method, _ in faulty.seen} <= {"GET", "HEAD"}
    assert "rounds 6 to 8 of run 'a' wait in " in caplog.text
    assert "task.resume=true uploads them" in caplog.text


def test_a_run_that_goes_on_here_uploads_them_first(machines):
    here, other = machines
    store = here()
    store.acquire("a")
    assert store.latest("a").round.number == 8
    store.release("a")
    assert [r.number for r in other().history("a")] == list(range(1, 9))
    assert not store._spool.holds("a")


def test_a_finished_run_is_not_cut_back(machines, faulty, examples, caplog):
    """Rounds 6 to 8 wait here; another machine finished the run; here it is looked at."""
    here, other = machines
    store = went_on(other, examples)
    before = store._store._objects.below("")
    for read in (lambda s: s.result("a"), lambda s: s.history("a"), lambda s: s.latest("a")):
        read(here())
    assert store._store._objects.below("") == before
    assert "rounds 6 to 8 of run 'a', which waited in " in caplog.text
    assert "its end (FINISHED after 12 rounds), which is newer; rm -r " in caplog.text
    again = here()
    again.acquire("a")  # what waits is set aside, not lost
    assert again.latest("a").round.number == 12
    again.release("a")
    assert store.result("a")["status"] == "FINISHED"
    [aside] = (again._spool.folder / "superseded").iterdir()
    assert (aside / "rounds/6.json").exists()
    assert f"rm -r {aside} gives it up" in caplog.text


def test_an_end_that_comes_late_replaces_none(machines, faulty, examples):
    here, other = machines
    store = here()
    faulty.fault = lambda method, path: 503
    store.finish("a", ended(8, Status.FAILED))
    faulty.fault = lambda method, path: None
    went_on(other, examples)
    store._upload("a")
    assert other().result("a") == end(12)
    assert [r.number for r in other().history("a")] == list(range(1, 13))


def test_an_end_that_was_there_before_may_be_replaced(faulty, tmp_path, examples):
    """A run failed after its last round, goes on here, and ends while the network is away."""
    store = repository(faulty.url, tmp_path, retries=0)
    store.begin(examples.run())
    store.commit("a", examples.checkpoint(1))
    store.finish("a", ended(1, Status.FAILED))
    store.acquire("a")
    faulty.fault = lambda method, path: 503
    store.finish("a", ended(1))
    faulty.fault = lambda method, path: None
    store.release("a")
    store.acquire("a")
    store.release("a")
    assert store.result("a") == end(1)


def test_a_round_whose_answer_was_lost_is_not_stored_twice(machines, examples):
    here, other = machines
    store = other()
    for number in (6, 7):
        store.commit("a", examples.checkpoint(number))
    again = here()
    again.acquire("a")
    again.release("a")
    assert [r.number for r in store.history("a")] == list(range(1, 9))
    assert replace(store.history("a")[5]) == examples.checkpoint(6).round

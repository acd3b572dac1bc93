"""What goes wrong between here and an endpoint, through a proxy that does it."""

import itertools
import logging
import threading
import time

import endpoints
import pytest
from endpoints import repository

from aeros_core.errors import RepositoryError
from aeros_core.results import Result, Status


def first(times, fault, method="", part=""):
    """Fail the first requests whose method and path are such."""
    left = itertools.count(times, -1)
    return lambda m, p: fault if method in m and part in p and next(left) > 0 else None


def result(rounds=1):
    return Result("task", Status.FINISHED, rounds, {}, {}, 0.0, 0, 0, {})


PASSING = [*itertools.product(["GET", "PUT"], [500, 503, "drop", "lost"]), ("GET", "cut")]


@pytest.mark.parametrize(("method", "fault"), PASSING)
def test_what_passes_is_survived(faulty, tmp_path, examples, method, fault):
    store = repository(faulty.url, tmp_path)
    store.begin(examples.run())
    faulty.fault = first(2, fault, method)
    store.commit("a", examples.checkpoint(1))
    assert store.latest("a").parameters.digest == examples.checkpoint(1).parameters.digest
    faulty.fault = first(2, fault, method)
    assert store.publish(examples.model()).version == 1
    assert store.model("model").parameters.digest == examples.model().parameters.digest
    assert set(store.verify().values()) == {""}
    assert not (tmp_path / "spool").exists()


def test_a_version_whose_answer_was_lost_is_not_given_twice(faulty, tmp_path, examples):
    """The request is repeated, and refused: what lies there is our own."""
    store = repository(faulty.url, tmp_path)
    store.publish(examples.model(seed=1))
    faulty.fault = first(1, "lost", "PUT", "models/model/2.json")
    assert store.publish(examples.model(seed=2)).version == 2
    assert [info.version for info in store.models()] == [1, 2]


def test_a_slow_endpoint_is_waited_for(faulty, tmp_path, examples):
    store = repository(faulty.url, tmp_path)
    faulty.fault = lambda method, path: 0.3
    store.begin(examples.run())
    assert [run.id for run in repository(faulty.url, tmp_path).runs()] == ["a"]


@pytest.mark.parametrize("part", ["c.0", "zarr.json", "models/model/2.json", "tags/best.json"])
def test_a_write_that_times_out_is_repeated(faulty, tmp_path, examples, part):
    store = repository(faulty.url, tmp_path, timeout=0.5)
    store.publish(examples.model(seed=1))
    faulty.fault = first(1, 1.0, "PUT", part)
    assert store.publish(examples.model(seed=2)).version == 2
    store.tag("model", "best", 2)
    assert [info.version for info in store.models()] == [1, 2]
    time.sleep(0.7)  # what timed out arrives in the end
    assert store.model("model", "best").parameters.digest == examples.parameters(2).digest
    assert set(store.verify().values()) == {""}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (503, "Busy, Not now (after 2 retries)"),
        (500, "Busy, Not now (after 2 retries)"),
        ("drop", "{url}: HTTP error: error sending request (after 2 retries)"),
    ],
)
def test_what_does_not_pass_is_told(faulty, tmp_path, examples, fault, said):
    store = repository(faulty.url, tmp_path, retries=2, prefix="x")
    faulty.fault = lambda method, path: fault
    for call, what in (
        (lambda: store.publish(examples.model()), "the repository could not be made"),
        (store.models, "the models could not be read"),
        (lambda: store.model("model"), "model 'model' could not be read"),
        (lambda: repository(faulty.url, tmp_path, retries=2, prefix="x"),
         "the repository could not be opened"),
    ):  # fmt: skip
        with pytest.raises(RepositoryError) as caught:
            call()
        assert str(caught.value) == (
            f"{what} in s3://aeros-test/x: the endpoint failed: {said.format(url=faulty.url)}\n"
            "  next: check repository.endpoint and try again; a run continues with"
            " task.resume=true"
        )


def test_an_endpoint_that_never_answers_is_given_up_on(faulty, tmp_path):
    faulty.fault = lambda method, path: 15.0
    start = time.monotonic()
    with pytest.raises(
        RepositoryError,
        match=r"the endpoint failed: http://127\.0\.0\.1:\d+: no answer in time \(after 1 retry\)",
    ):
        repository(faulty.url, tmp_path, retries=1, timeout=0.3)
    assert time.monotonic() - start < 14


def test_nothing_is_seen_of_an_upload_that_failed(faulty, s3, tmp_path, examples):
    store = repository(faulty.url, tmp_path, retries=0)
    store.publish(examples.model(seed=1))
    for part in ("c.0", "zarr.json", "2.json"):
        faulty.fault = lambda method, path, part=part: 500 if path.endswith(part) else None
        with pytest.raises(RepositoryError):
            store.publish(examples.model(seed=2))
        reader = repository(s3, tmp_path)
        assert [info.version for info in reader.models()] == [1]
        assert set(reader.verify().values()) == {""}
    faulty.fault = lambda method, path: None
    assert store.publish(examples.model(seed=2)).version == 2
    assert set(store.verify().values()) == {""}


# ---------------------------------------------------------------- the spool


@pytest.fixture
def failing(faulty, tmp_path, examples, caplog):
    """A repository with round 1 of run ``a``, whose endpoint fails from then on."""
    caplog.set_level(logging.WARNING)
    store = repository(faulty.url, tmp_path, retries=1)
    store.begin(examples.run())
    store.commit("a", examples.checkpoint(1))
    faulty.fault = lambda method, path: 503
    return store


def test_a_round_that_cannot_be_uploaded_waits_and_is_committed_later(
    failing, faulty, s3, tmp_path, examples, caplog
):
    failing.commit("a", examples.checkpoint(2))
    failing.commit("a", examples.checkpoint(3))
    assert "round 2 of run 'a' waits in " in caplog.text
    assert "503 Service Unavailable (after 1 retry)" in caplog.text
    elsewhere = repository(s3, tmp_path / "elsewhere", prefix=failing._store._s3.prefix)
    assert elsewhere.latest("a").round.number == 1
    faulty.fault = lambda method, path: None
    failing.commit("a", examples.checkpoint(4))
    assert [r.number for r in elsewhere.history("a")] == [1, 2, 3, 4]
    found = elsewhere.latest("a")
    assert found.parameters.digest == examples.checkpoint(4).parameters.digest
    assert "what was spooled of run 'a' is in s3://" in caplog.text
    assert not list((tmp_path / "spool").glob("*/runs/*"))


def test_another_process_goes_on_from_the_spooled_round(failing, faulty, s3, tmp_path, examples):
    failing.commit("a", examples.checkpoint(2))
    faulty.fault = lambda method, path: None
    again = repository(faulty.url, tmp_path)
    again.acquire("a")
    again.release("a")
    assert again.latest("a").parameters.digest == examples.checkpoint(2).parameters.digest
    assert [r.number for r in again.history("a")] == [1, 2]
    assert not list((tmp_path / "spool").glob("*/runs/*"))


def test_the_end_of_a_run_waits_too(failing, faulty, tmp_path, examples):
    failing.commit("a", examples.checkpoint(2))
    failing.finish("a", result(2))
    faulty.fault = lambda method, path: None
    again = repository(faulty.url, tmp_path)
    again.acquire("a")
    again.release("a")
    assert again.result("a") == result(2).to_json()
    assert again.latest("a").round.number == 2


def test_an_upload_of_the_spool_that_fails_half_way_is_done_again(
    failing, faulty, tmp_path, examples
):
    for number in (2, 3, 4):
        failing.commit("a", examples.checkpoint(number))
    faulty.fault = lambda method, path: 503 if "rounds/3.json" in path else None
    again = repository(faulty.url, tmp_path, retries=0)
    with pytest.raises(RepositoryError, match="round 3 of run 'a' could not be stored"):
        again.acquire("a")
    faulty.fault = lambda method, path: None
    again.acquire("a")
    again.release("a")
    assert again.latest("a").round.number == 4
    assert [r.number for r in again.history("a")] == [1, 2, 3, 4]


def test_what_is_wrong_with_the_round_itself_is_not_spooled(failing, faulty, tmp_path, examples):
    faulty.fault = lambda method, path: None
    with pytest.raises(RepositoryError, match="a state that holds a NoneType"):
        failing.commit("a", examples.checkpoint(2, state={"collector": {"x": None}}))
    with pytest.raises(RepositoryError, match="run 'b' does not exist"):
        failing.commit("b", examples.checkpoint(1))
    assert not (tmp_path / "spool").exists()


def test_the_spool_of_another_bucket_is_another(s3, tmp_path):
    one, other = (repository(s3, tmp_path, prefix=prefix) for prefix in ("one", "other"))
    assert one._spool.folder != other._spool.folder
    assert one._spool.folder.parent == other._spool.folder.parent


def test_endpoints_that_come_and_go_lose_nothing(faulty, s3, tmp_path, examples):
    """Every third request fails, whichever; four writers publish meanwhile."""
    counter, lock = itertools.count(1), threading.Lock()

    def every_third(method, path):
        with lock:
            n = next(counter)
        return (500, "drop", "lost")[n // 3 % 3] if n % 3 == 0 else None

    store = repository(faulty.url, tmp_path, retries=8)
    faulty.fault = every_third
    stores = [repository(faulty.url, tmp_path, retries=8) for _ in range(4)]
    threads = [
        threading.Thread(target=lambda n=n: stores[n].publish(examples.model(seed=n)))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    faulty.fault = lambda method, path: None
    assert [info.version for info in store.models()] == [1, 2, 3, 4]
    assert set(store.verify().values()) == {""}
    assert endpoints.BUCKET in store._store.location()

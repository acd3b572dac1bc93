"""What ends an executor's search for its controller, and what is said meanwhile."""

from types import SimpleNamespace

import pytest

from aeros_core.errors import ConfigError, TaskError
from aeros_flower.executor import controller_search
from aeros_flower.executor.controller_search import Search
from aeros_flower.http.status_codes import Askew, Ended, Lost, Unwelcome


@pytest.fixture
def clock(monkeypatch):
    made = SimpleNamespace(now=0.0, monotonic=lambda: made.now)
    monkeypatch.setattr(controller_search, "time", made)
    monkeypatch.setattr("aeros_core.tasks.waiting.time", made)
    return made


@pytest.fixture
def said():
    return []


@pytest.fixture
def search(clock, said):
    return Search("edge", said.append, 1000.0)


def test_a_reason_is_said_at_once_and_each_minute(search, clock, said):
    for _ in range(200):
        clock.now += 1.0
        assert 0 < search.failed(Lost("nobody answers")) <= 2.0
    assert said == ["waits for the controller (nobody answers)"] * 4  # at 1, 61, 121 and 181
    search.failed(Lost("a proxy answers 502"))
    assert said[4:] == ["waits for the controller (a proxy answers 502)"]


def test_where_its_end_was_said_each_minute_is_enough(search, clock, said):
    search.restart(said=True)
    for reason in ["nobody answers", "it hangs up"] * 29:
        clock.now += 1.0
        search.failed(Lost(reason))
    assert said == []
    clock.now += 5.0
    search.failed(Lost("nobody answers"))
    assert said == ["waits for the controller (nobody answers)"]


@pytest.mark.parametrize("error", [Lost("x"), Ended("x"), Askew("x")])
@pytest.mark.parametrize("met", [False, True])
def test_who_is_away_is_waited_for_until_the_time_is_over(search, clock, error, met):
    if met:
        search.found()
    clock.now = 999.0
    search.failed(error)
    clock.now = 1001.0
    with pytest.raises(TaskError, match=r"edge found no controller for 1000 s \(x\)"):
        search.failed(error)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ConfigError("it speaks ssh"), ConfigError),
        (ConfigError("its certificate has expired"), ConfigError),
        (Unwelcome("401", 401), TaskError),
        (Unwelcome("403", 403), TaskError),
    ],
)
def test_once_connected_only_a_revoked_key_ends_it(search, error, kind):
    with pytest.raises(kind):
        search.failed(error)
    search.found()
    search.restart()
    search.failed(error)


@pytest.mark.parametrize("met", [False, True])
def test_a_key_that_the_gate_does_not_admit_ends_it_always(search, met):
    if met:
        search.found()
    with pytest.raises(TaskError, match=r"does not admit edge") as ended:
        search.failed(Unwelcome("401", 401, key=True))
    assert "aeros certs admit NAME FILE.pub" in ended.value.hint

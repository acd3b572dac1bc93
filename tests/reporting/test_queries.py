"""Which of some runs are asked for, by what they were told and what came of them."""

from datetime import UTC, datetime, timedelta

import pytest

from aeros_core.errors import ConfigError
from aeros_core.records import Run
from aeros_core.reporting.queries import ABSENT, Entry, Query, condition, moment, spelled

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
NAMES = {"lib.robust.Trimmed": ["trimmed_mean", "cut"]}


def config(n):
    rules = ["lib.linear.FedAvg", "lib.robust.Trimmed", "lib.robust.CentredClip"]
    return {
        "task": {"name": f"task-{n}", "seed": n, "start": None, "ordered": n > 1},
        "collector": {"_target_": rules[n], "lr": [0.1, 1, 1e-3][n]},
        "transformer": {"digits": {"_target_": "lib.Digits"}, f"step-{n}": {}},
        "trainer": {"hidden": [200, n], "tags": []},
    }


ROWS = [
    {"status": "FINISHED", "rounds": 5, "metrics": {"accuracy": 0.9, "loss": 0.2}},
    {"status": "FAILED", "rounds": 2, "metrics": {"accuracy": float("nan"), "f1": 0.5}},
    {"status": "unfinished", "rounds": 0, "metrics": {"accuracy": 0.95, "loss": 0.3}},
]


@pytest.fixture
def asked():
    """The runs whose row was asked for."""
    return []


@pytest.fixture
def entries(asked):
    def summarise(run):
        asked.append(run.id)
        return ROWS[int(run.id)]

    began = [NOW - timedelta(days=3 - n) for n in range(3)]
    runs = [Run(str(n), "t", "", config(n), {}, began[n].isoformat()) for n in range(3)]
    return [Entry(run, summarise) for run in runs]


def numbers(found):
    return [int(entry.run.id) for entry in found]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("task.seed=1", [1]),
        ("task.seed=1.0", [1]),
        ("task.seed!=1", [0, 2]),
        ("task.seed>=1", [1, 2]),
        ("task.seed<1", [0]),
        ("task.name=task-2", [2]),
        ("task.name=task-*", [0, 1, 2]),
        ("task.name!=task-[01]", [2]),
        ("task.ordered=true", [2]),
        ("task.ordered=false", [0, 1]),
        ("task.start=null", [0, 1, 2]),
        ("collector=fedavg", [0]),
        ("collector=FedAvg", [0]),
        ("collector=fed*", [0]),
        ("collector=trimmed_mean", [1]),
        ("collector=cut", [1]),
        ("collector=trimmed", []),
        ("collector=centred_clip", [2]),
        ("collector!=centred_clip", [0, 1]),
        ("collector.lr=0.10", [0]),
        ("collector.lr=0.001", [2]),
        ("collector.lr<=0.1", [0, 2]),
        ("transformer=digits", [0, 1, 2]),
        ("transformer=step-1", [1]),
        ("transformer/digits=digits", [0, 1, 2]),
        ("trainer.hidden=200", [0, 1, 2]),
        ("trainer.hidden=2", [2]),
        ("trainer.hidden=[200,1]", [1]),
        ("trainer.hidden=[200, 1]", [1]),
        ("trainer.tags=x", []),
        ("accuracy>=0.9", [0, 2]),
        ("accuracy>0.9", [2]),
        ("metrics.loss<0.3", [0]),
        ("f1!=0", [1]),
        ("rounds>0", [0, 1]),
        ("status=FAILED", [1]),
        ("task.name>1", []),
        ("task.ordered>0", []),
    ],
)
def test_conditions(entries, text, found):
    assert numbers(Query(conditions=[condition(text)], names=NAMES).of(entries)) == found


def test_all_conditions_hold(entries):
    both = [condition("task.seed>0"), condition("accuracy>0.9")]
    assert numbers(Query(conditions=both).of(entries)) == [2]


@pytest.mark.parametrize("text", ["seed", "=1", "", ">1", "a b=1", "1=2", "seed~1"])
def test_what_is_no_condition(text):
    with pytest.raises(ConfigError, match="is no condition\n  exists: KEY=VALUE, and !="):
        condition(text)


def test_a_comparison_is_with_a_number():
    with pytest.raises(ConfigError, match="compares with 'high', which is no number"):
        condition("accuracy>high")


@pytest.mark.parametrize("key", ["task.sed", "nothing", "collector.lr.x", "metrics.f2"])
def test_what_no_run_knows(entries, key):
    with pytest.raises(ConfigError) as caught:
        Query(conditions=[condition(f"{key}=1")]).of(entries)
    assert str(caught.value) == (
        f"no run was told, or has measured, {key}\n  exists: metrics accuracy, f1, loss; rounds, "
        "seconds; options of collector, task, trainer, transformer\n"
        "  next: aeros results RUN --json shows every option of a run"
    )
    assert Query(conditions=[condition(f"{key}=1")]).of([]) == []


def test_statuses(entries):
    assert numbers(Query(statuses={"FAILED", "unfinished"}).of(entries)) == [1, 2]
    assert Query(statuses={"CANCELLED"}).of(entries) == []


@pytest.mark.parametrize(
    ("since", "until", "found"),
    [
        (None, None, [0, 1, 2]),
        ("2d", None, [1, 2]),
        ("47h", None, [2]),
        (None, "2d", [0, 1]),
        ("2026-11-26", "2026-11-26", [1]),
        ("2026-11-26T12:00", "2026-11-26T12:00:00+00:00", [1]),
        ("2026-11-26T13:00+01:00", None, [1, 2]),
        (None, "2026-11-26T11:59", [0]),
        ("9w", "1m", [0, 1, 2]),
    ],
)
def test_when_a_run_began(entries, since, until, found):
    query = Query(
        since=moment(since, NOW) if since else None,
        until=moment(until, NOW, end=True) if until else None,
    )
    assert numbers(query.of(entries)) == found


@pytest.mark.parametrize("text", ["yesterday", "", "7", "7y", "2026-13-01", "999999w"])
def test_what_is_no_moment(text):
    with pytest.raises(ConfigError, match="is no moment\n  exists: 2026-11-28, "):
        moment(text, NOW)


def test_a_run_that_does_not_say_when_it_began(entries):
    lost = Entry(Run("0", "t", "", config(0), {}, "long ago"), lambda run: ROWS[0])
    assert numbers(Query(since=NOW - timedelta(days=9)).of([lost, *entries])) == [0, 1, 2]
    assert numbers(Query().of([lost])) == [0]


@pytest.mark.parametrize(
    ("metric", "found"),
    [("accuracy", [2, 0]), ("loss", [0, 2]), ("f1", [1]), ("rounds", [0, 1, 2])],
)
def test_the_best_come_first_and_what_was_not_measured_is_left_out(entries, metric, found):
    assert numbers(Query(best=metric).of(entries)) == found


def test_of_equally_good_ones_the_newer_comes_first(entries):
    twins = [Entry(entry.run, lambda run: ROWS[0]) for entry in entries]
    assert numbers(Query(best="accuracy").of(twins)) == [2, 1, 0]


def test_the_newest_first(entries):
    assert numbers(Query(newest=True).of(entries)) == [2, 1, 0]


def test_what_came_of_a_run_is_not_read_where_its_options_decide(entries, asked):
    query = Query(conditions=[condition("task.seed>=0")], since=NOW - timedelta(days=2))
    assert numbers(query.of(entries)) == [1, 2]
    assert asked == []
    assert [entry.row["status"] for entry in entries[:1] * 2] == ["FINISHED"] * 2
    assert asked == ["0"]


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"_target_": "lib.robust.Trimmed", "by": 1}, "cut"),
        ({"_target_": "lib.Other"}, "Other"),
        ({"a": {}, "b": {}}, "a, b"),
        ([1, "x"], "1, x"),
        (None, ""),
        (ABSENT, ""),
        (0.5, 0.5),
        (False, False),
    ],
)
def test_how_an_option_is_spelled(value, said):
    assert spelled(value, NAMES) == said

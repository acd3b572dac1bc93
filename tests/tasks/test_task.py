import pickle

import pytest

from aeros_core.errors import ConfigError
from aeros_core.tasks.subtask import Kind, Subtask
from aeros_core.tasks.task import Evaluating, Goal, QuorumPolicy, Stop, Task


@pytest.mark.parametrize(
    ("options", "asked", "exists"),
    [
        ({"rounds": 0}, "task.rounds=0 is not possible", "at least 1"),
        ({"cohort": 0}, "task.cohort=0 is not possible", "at least 1"),
        ({"quorum": 0}, "task.quorum=0 is not possible", "at least 1"),
        ({"attempts": 0}, "task.attempts=0 is not possible", "at least 1"),
        ({"max_norm": 0.0}, "task.max_norm=0.0 is not possible", "above 0"),
        ({"max_norm": float("nan")}, "task.max_norm=nan is not possible", "above 0"),
        (
            {"min_updates": 2, "quorum": 3},
            "task.min_updates=2 is not possible",
            "at least task.quorum=3",
        ),
        ({"deadline": 0.0}, "task.deadline=0.0 is not possible", "above 0"),
        ({"deadline": float("nan")}, "task.deadline=nan is not possible", "above 0"),
        (
            {"evaluation": Evaluating(every=0)},
            "task.evaluation.every=0 is not possible",
            "at least 1",
        ),
        (
            {"evaluation": Evaluating(holdout=1.0)},
            "task.evaluation.holdout=1.0 is not possible",
            "between 0 and 1",
        ),
        (
            {"evaluation": Evaluating(holdout=0.0)},
            "task.evaluation.holdout=0.0 is not possible",
            "between 0 and 1",
        ),
    ],
)
def test_a_value_that_no_round_could_run_with_is_refused(options, asked, exists):
    with pytest.raises(ConfigError) as refused:
        Task(**options)
    assert str(refused.value) == f"{asked}\n  exists: {exists}"


def test_a_quorum_above_the_cohort_is_refused():
    with pytest.raises(ConfigError) as refused:
        Task(cohort=3, quorum=4)
    assert str(refused.value) == (
        "task.quorum=4 can never be met by task.cohort=3\n  next: task.quorum=3"
    )
    assert Task(cohort=3, quorum=3).quorum == 3


@pytest.mark.parametrize("deadline", [None, 0.5])
@pytest.mark.parametrize("cohort", [None, 1])
def test_what_can_run_is_taken(cohort, deadline):
    assert Task(rounds=1, cohort=cohort, deadline=deadline).name == "task"


def test_the_simplest_task_has_one_sub_task():
    assert Task().subtasks == {"train": Subtask(kind=Kind.train, outputs=["model"])}
    assert Task().subtasks is not Task().subtasks


UP, DOWN = Goal.maximize, Goal.minimize


@pytest.mark.parametrize(
    ("metric", "goal", "target", "value", "ends"),
    [
        ("accuracy", Goal.auto, 0.9, 0.91, True),
        ("accuracy", Goal.auto, 0.9, 0.9, True),
        ("accuracy", Goal.auto, 0.9, 0.89, False),
        ("loss", Goal.auto, 0.5, 0.4, True),
        ("loss", Goal.auto, 0.5, 0.5, True),
        ("loss", Goal.auto, 0.5, 0.6, False),
        ("test_rmse", Goal.auto, 1.0, 0.5, True),
        ("mae", Goal.auto, 1.0, 1.5, False),
        ("mse", Goal.auto, 1.0, 0.5, True),
        ("error", Goal.auto, 1.0, 0.5, True),
        ("glossiness", Goal.auto, 0.5, 0.6, True),
        ("loss", UP, 0.5, 0.6, True),
        ("loss", UP, 0.5, 0.4, False),
        ("accuracy", DOWN, 0.9, 0.5, True),
        ("accuracy", DOWN, 0.9, 0.95, False),
        ("accuracy", Goal.auto, 0.9, float("nan"), False),
        ("loss", Goal.auto, 0.5, float("nan"), False),
    ],
)
def test_a_target_ends_a_task_in_its_own_direction(metric, goal, target, value, ends):
    assert Stop(metric, target, goal).reached({metric: value, "other": 0.0}) is ends


def test_without_a_target_or_before_a_measurement_nothing_ends():
    assert not Stop().reached({"accuracy": 1.0})
    assert not Stop(metric="nonsense").reached({"accuracy": 1.0})
    assert not Stop(target=0.5).reached({})


def test_a_target_for_what_is_not_measured_is_refused():
    with pytest.raises(ConfigError) as refused:
        Stop("f1", target=0.9).reached({"loss": 0.1, "accuracy": 0.9})
    assert str(refused.value) == (
        "task.stop.metric=f1 is not measured by this task\n  exists: accuracy, loss\n"
        "  next: task.stop.metric=accuracy"
    )


@pytest.mark.parametrize("record", [Task(), Task(stop=Stop("loss", 0.5))])
def test_records_are_picklable(record):
    assert pickle.loads(pickle.dumps(record)) == record


@pytest.mark.parametrize("name", ["", "../up", "a/b", ".hidden", "a b", "-x"])
def test_a_name_that_is_no_file_name_is_refused(name):
    with pytest.raises(ConfigError, match="is not possible"):
        Task(name=name)


@pytest.mark.parametrize("option", ["quorum", "min_updates"])
def test_more_than_a_cohort_can_never_be_met(option):
    with pytest.raises(ConfigError) as refused:
        Task(cohort=2, **{option: 3})
    assert str(refused.value) == (
        f"task.{option}=3 can never be met by task.cohort=2\n  next: task.{option}=2"
    )


def test_a_deadline_that_is_not_there_cannot_be_extended():
    with pytest.raises(
        ConfigError, match=r"task\.below_quorum=extend waits for the deadline again"
    ):
        Task(below_quorum=QuorumPolicy.extend)
    assert Task(below_quorum=QuorumPolicy.extend, deadline=5.0).attempts == 3

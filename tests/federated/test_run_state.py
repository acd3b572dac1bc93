from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from aeros_core.errors import ConfigError
from aeros_core.federated.run_state import RunState, finished, open_run, state_of, stateful_parts
from aeros_core.records import Checkpoint
from aeros_core.results import Result, Round, Status
from aeros_core.tasks.task import Stop, Task

CONFIG = {
    "task": {"name": "toy", "seed": 0, "rounds": 3},
    "transformer": {"even": {"_target_": "toy_parts.Even", "clients": 6}},
    "trainer": {"_target_": "toy_parts.Linear", "lr": 0.5},
    "collector": {"_target_": "toy_parts.Mean", "momentum": 0.0},
    "repository": {"_target_": "toy_parts.Files", "path": "store"},
}


def changed(*path, value):
    """Return the configuration with one value changed."""
    config = dict(CONFIG)
    inner = config
    for key in path[:-1]:
        inner[key] = dict(inner[key])
        inner = inner[key]
    inner[path[-1]] = value
    return config


def a_round(number, **metrics):
    return Round(number, metrics, {}, {}, {}, {}, {}, 10, 10)


@pytest.fixture
def begun(parts, flat):
    """A function that opens a run on the same repository; fails if asked for a model."""
    first = parts(config=CONFIG, momentum=0.9)

    def begin(task=None, *, fresh=True, **options):
        made = parts(config=CONFIG, momentum=0.9, repository=first.repository)
        initial = (lambda: flat(0, 0)) if fresh else None
        kept = stateful_parts(made, nodes=None)
        return open_run(task or Task(name="toy"), replace(made, **options), kept, initial), made

    return begin


def test_a_run_is_begun_and_recorded(begun):
    here, made = begun()
    assert made.repository.runs("toy") == [here.run]
    assert (here.run.task, here.run.identity, here.run.config) == ("toy", "same", CONFIG)
    assert (here.number, here.measured, here.before) == (0, {}, 0.0)
    assert here.run.id.startswith("toy-")
    age = datetime.now(UTC) - datetime.fromisoformat(here.run.created)
    assert abs(age.total_seconds()) < 60


def test_every_run_has_an_id_of_its_own(begun):
    assert len({begun()[0].run.id for _ in range(20)}) == 20


def test_what_was_never_begun_is_begun_resume_or_not(begun):
    here, made = begun(Task(name="toy", resume=True))
    assert made.repository.runs() == [here.run]


def test_a_run_without_a_committed_round_starts_over_under_its_id(begun):
    first, _ = begun()
    again, made = begun(Task(name="toy", resume=True))
    assert again.run == first.run
    assert again.parameters.vector.tolist() == [0, 0]
    assert len(made.repository.runs()) == 1


def test_a_run_goes_on_from_its_last_round(begun, flat):
    first, made = begun()
    velocity = np.array([1.0, 2.0])
    for number in (1, 2):
        done, state = a_round(number, loss=1 / number), {"collector": {"velocity": velocity}}
        checkpoint = Checkpoint(done, flat(number, 0), state, seconds=number * 10.0)
        made.repository.commit(first.run.id, checkpoint)
    again, made = begun(Task(name="toy", resume=True), fresh=False)
    assert again.run == first.run
    assert (again.number, again.before) == (2, 20.0)
    assert again.measured == {"loss": 0.5}
    assert again.parameters.vector.tolist() == [2, 0]
    assert made.collector.velocity.tolist() == [1.0, 2.0]


def test_the_latest_run_of_the_same_configuration_goes_on(begun):
    begun()
    second, _ = begun()
    begun(identity="other")
    again, _ = begun(Task(name="toy", resume=True))
    assert again.run.id == second.run.id


def test_a_resumed_run_has_the_present_configuration_and_its_record_the_first(begun):
    first, made = begun()
    moved = changed("repository", "path", value="elsewhere")
    again, _ = begun(Task(name="toy", resume=True), config=moved)
    assert again.run == replace(first.run, config=moved)
    assert made.repository.runs("toy") == [first.run]


def test_another_tasks_runs_are_left_alone(begun):
    begun()
    here, made = begun(Task(name="other", resume=True))
    assert here.run.task == "other"
    assert len(made.repository.runs()) == 2


def test_another_configuration_is_refused_with_its_differences(begun):
    first, _ = begun()
    config = changed("trainer", "lr", value=0.1)
    config["collector"] = {"_target_": "toy_parts.Median"}
    with pytest.raises(ConfigError) as refused:
        begun(Task(name="toy", resume=True), identity="other", config=config)
    assert str(refused.value) == (
        "task.resume=true: no run of task 'toy' had this configuration\n"
        f"  exists: run {first.run.id}, with collector._target_=toy_parts.Mean,"
        " collector.momentum=0.0, trainer.lr=0.5\n"
        "  next: type the same options again, or start anew with task.resume=false"
    )


def test_an_option_that_was_not_there_is_called_absent(begun):
    begun()
    config = changed("collector", "trim", value=0.2)
    with pytest.raises(ConfigError, match=r"with collector\.trim=absent"):
        begun(Task(name="toy", resume=True), identity="other", config=config)


@pytest.mark.parametrize(
    ("rounds", "stop", "done"),
    [
        (2, Stop(), True),
        (1, Stop(), True),
        (3, Stop(), False),
        (3, Stop("loss", 0.6), True),
        (3, Stop("loss", 0.4), False),
    ],
)
def test_a_finished_run_is_done_unless_more_is_asked(begun, rounds, stop, done):
    here, made = begun()
    result = Result("toy", Status.FINISHED, 2, {"loss": 0.5}, {}, 1.0, 10, 10, {})
    made.repository.finish(here.run.id, result)
    found = finished(Task(rounds=rounds, stop=stop), made, here.run)
    assert found == (result if done else None)


@pytest.mark.parametrize("status", [s for s in Status if s is not Status.FINISHED])
def test_a_run_that_ended_otherwise_is_not_done(begun, status):
    here, made = begun()
    made.repository.finish(here.run.id, Result("toy", status, 9, {}, {}, 1.0, 0, 0, {}))
    assert finished(Task(rounds=2), made, here.run) is None


def test_a_run_that_has_not_ended_is_not_done(begun):
    here, made = begun()
    assert finished(Task(rounds=1), made, here.run) is None


def test_the_last_measured_metrics_count_though_later_rounds_were_not_measured(begun, flat):
    here, _ = begun()
    sat = RunState(here.run, flat(0), [a_round(1, loss=0.5), a_round(2)])
    assert (sat.number, sat.measured) == (2, {"loss": 0.5})


def test_only_parts_with_a_state_are_kept(parts):
    made = parts(momentum=0.9)
    kept = stateful_parts(made, nodes=object())
    assert set(kept) == {"collector"}
    assert state_of(kept) == {}
    made.collector.velocity = np.ones(2)
    assert state_of(kept)["collector"]["velocity"].tolist() == [1, 1]

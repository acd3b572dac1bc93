from dataclasses import replace

import numpy as np
import pytest

from aeros_core import seeding
from aeros_core.controllers.local import LocalController, LocalNodes
from aeros_core.errors import ConfigError, Interrupted, RepositoryError, TaskError
from aeros_core.federated.rounds import Rounds
from aeros_core.messages import Broadcast, Failure, Instruction, Update
from aeros_core.parameters import Parameters
from aeros_core.preprocessing.pipeline import Prepared, prepare
from aeros_core.results import Status
from aeros_core.tasks.task import Evaluating, Goal, QuorumPolicy, Stop, Task


def run(task, parts):
    return LocalController().run(task, parts)


def task(**options):
    return Task(**{"name": "toy", "rounds": 3} | options)


def test_a_task_runs_its_rounds_and_publishes_the_last(parts):
    made = parts()
    result = run(task(), made)
    run_id = made.repository.runs("toy")[0].id
    history = made.repository.history(run_id)
    assert (result.task, result.status, result.rounds) == ("toy", Status.FINISHED, 3)
    assert [r.number for r in history] == [1, 2, 3]
    assert result.metrics == history[-1].metrics
    assert result.metrics["accuracy"] > 0.9
    assert result.versions == made.versions
    stored = made.repository.model("toy")
    last = made.repository.latest(run_id)
    assert result.model == {"name": "toy", "version": 1, "digest": stored.parameters.digest}
    assert stored.parameters.digest == last.parameters.digest
    assert made.repository.result(run_id) == result.to_json()
    assert 0 < result.seconds < 60


def test_a_round_is_the_weighted_mean_of_what_each_node_would_train_alone(parts):
    made = parts(examples=20, clients=3)
    result = run(task(rounds=1, seed=4), made)
    data = prepare(made.transformers, 4)
    start = made.trainer.initialise(data.schema, seeding.seed(4, "model"))
    alone = [
        made.trainer.train(
            Instruction(1, f"client-{i}", start, seed=seeding.seed(4, "train", 1, f"client-{i}")),
            data.train.take(data.partition[i]),
        )
        for i in range(3)
    ]
    weights = [update.examples for update in alone]
    assert sorted(weights) == [6, 7, 7]
    expected = np.average([u.parameters.vector for u in alone], axis=0, weights=weights)
    got = made.repository.model("toy").parameters.vector
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert result.metrics == made.trainer.evaluate(
        made.repository.model("toy").parameters, data.test
    )


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(parts, tmp_path, toys):
    digests = []
    for number, seed in enumerate((1, 1, 2)):
        made = parts(momentum=0.9, repository=toys.Files(path=tmp_path / str(number)))
        digests.append(run(task(seed=seed), made).model["digest"])
    assert digests[0] == digests[1] != digests[2]


def test_events_come_in_the_order_of_a_tasks_life(parts, heard):
    run(task(rounds=2), parts(clients=2))
    one = ["before_round", "after_update", "after_update", "after_round"]
    assert heard.names() == [
        "on_status", "on_status", "before_task", "on_status", *one, *one, "on_status", "after_task",
    ]  # fmt: skip
    assert [e["status"] for e in heard.of("on_status")] == [
        Status.SUBMITTED, Status.PLANNED, Status.RUNNING, Status.FINISHED,
    ]  # fmt: skip
    assert [e["number"] for e in heard.of("before_round")] == [1, 2]
    assert [e["cohort"] for e in heard.of("before_round")] == [["client-0", "client-1"]] * 2
    assert [e["update"].node for e in heard.of("after_update")] == ["client-0", "client-1"] * 2
    assert [e["round"].number for e in heard.of("after_round")] == [1, 2]


def test_after_round_is_heard_once_the_round_is_committed(parts, heard):
    made = parts()
    committed = []

    def look(**told):
        committed.append(made.repository.latest(made.repository.runs()[0].id).round.number)

    heard.aeros_after_round = look
    run(task(), made)
    assert committed == [1, 2, 3]


def test_a_cohort_takes_part_and_others_do_not(parts, heard):
    run(task(cohort=2, rounds=4), parts())
    for told in heard.of("after_round"):
        assert len(told["round"].nodes) == 2
    assert len({tuple(e["cohort"]) for e in heard.of("before_round")}) > 1


def test_payloads_are_counted(parts, heard):
    result = run(task(cohort=2, rounds=3), parts())
    assert [told["round"].sent for told in heard.of("after_round")] == [2 * 36] * 3
    assert (result.sent, result.received) == (3 * 2 * 36, 3 * 2 * 36)


def test_nodes_that_fail_are_counted_and_the_round_goes_on(parts, heard):
    result = run(task(), parts(fail=["client-1"], poison=["client-4"]))
    assert result.status is Status.FINISHED
    for told in heard.of("after_round"):
        assert told["round"].refused == {
            "client-1": "RuntimeError: the sensor is unplugged",
            "client-4": "NaN or infinity",
        }
        assert sorted(told["round"].nodes) == ["client-0", "client-2", "client-3", "client-5"]


# ---------------------------------------------------------------- bounds


@pytest.mark.parametrize(("option", "value"), [("cohort", 7), ("quorum", 7)])
def test_more_nodes_than_there_are_is_refused_before_anything_begins(parts, option, value):
    made = parts()
    with pytest.raises(ConfigError) as refused:
        run(task(**{option: value}), made)
    assert str(refused.value) == (
        f"task.{option}=7 asks for more nodes than there are\n  exists: 6 nodes\n"
        f"  next: task.{option}=6, or cut the data into more clients"
    )
    assert made.repository.runs() == []


@pytest.mark.parametrize(
    ("fail", "said"),
    [([], "next: task.deadline=SECONDS, more than 1e-06, then the same command"),
     (["elsewhere"], "next: mend what the nodes report; task.deadline=SECONDS, more than 1e-06")],
)  # fmt: skip
def test_a_deadline_that_is_too_short_is_named(parts, fail, said):
    class Hasty(Rounds):
        def _combined(self, start, number, tally, split):
            tally.refused |= dict.fromkeys(fail, "RuntimeError: unplugged")
            return super()._combined(start, number, tally, split)

    made = parts(pause=0.01)
    nodes = LocalNodes(task(), made.trainer, data := prepare(made.transformers, 0), None)
    with pytest.raises(TaskError) as failed:
        Hasty(task(deadline=1e-6, quorum=2), made, nodes, data).run()
    assert said in str(failed.value)


def test_a_missed_quorum_ends_the_task_and_tells_the_reasons(parts, heard):
    nodes = [f"client-{i}" for i in range(5)]
    made = parts(fail=nodes)
    with pytest.raises(TaskError) as failed:
        run(task(quorum=2), made)
    sensor = "RuntimeError: the sensor is unplugged"
    assert str(failed.value) == (
        "round 1 has 1 good updates, its quorum is 2\n"
        f"  exists: client-0: {sensor}; client-1: {sensor}; client-2: {sensor}; and 2 more\n"
        "  next: mend what the nodes report, then the same command with task.resume=true"
    )
    run_id = made.repository.runs()[0].id
    assert made.repository.history(run_id) == []
    assert made.repository.result(run_id)["status"] == "FAILED"
    assert made.repository.models() == []
    assert heard.names()[-3:] == ["on_error", "on_status", "after_task"]
    assert heard.of("on_error")[0]["error"] is failed.value
    assert heard.of("after_task")[0]["result"].status is Status.FAILED


def test_a_quorum_that_is_just_met_is_enough(parts):
    assert run(task(quorum=5), parts(fail=["client-0"])).status is Status.FINISHED


def test_a_task_ends_once_its_accuracy_is_reached(parts):
    full = parts()
    run(task(rounds=6), full)
    history = full.repository.history(full.repository.runs()[0].id)
    target = history[2].metrics["accuracy"]
    first = next(r.number for r in history if r.metrics["accuracy"] >= target)
    result = run(task(rounds=6, stop=Stop("accuracy", target)), parts())
    assert (result.rounds, result.status) == (first, Status.FINISHED)
    assert result.metrics["accuracy"] >= target


@pytest.mark.parametrize("goal", [Goal.auto, Goal.minimize])
def test_a_task_ends_once_its_loss_is_reached(parts, goal):
    result = run(task(rounds=20, stop=Stop("loss", 0.7, goal)), parts())
    assert result.rounds < 20
    assert result.metrics["loss"] <= 0.7
    assert result.model["version"] == 1


def test_a_target_for_what_is_not_measured_ends_the_task_after_its_first_measurement(parts):
    made = parts()
    with pytest.raises(ConfigError, match=r"task\.stop\.metric=f1 is not measured"):
        run(task(stop=Stop("f1", 0.5)), made)
    assert len(made.repository.history(made.repository.runs()[0].id)) == 1


class Late:
    """Nodes of which one never replies."""

    def __init__(self, nodes, silent):
        self.nodes, self.silent = nodes, silent

    def __len__(self):
        return 2

    def name(self, number):
        return f"client-{number}"

    def sizes(self, numbers):
        return np.zeros(len(numbers), np.int64)

    def dispatch(self, instructions):
        self.sent = [i for i in instructions if i.node != self.silent]

    def receive(self, timeout):
        if not self.sent:
            return None
        told = self.sent.pop()
        return Update(told.node, told.round, told.parameters, 1, {"loss": 0.0})

    def abandon(self):
        pass


def test_a_node_that_misses_the_deadline_does_not_hold_up_the_round(parts, heard):
    made = parts()
    data = prepare(made.transformers, 0)
    nodes = Late(data, "client-1")
    result = Rounds(task(deadline=5.0), made, nodes, data).run()
    assert result.rounds == 3
    assert heard.of("after_round")[0]["round"].refused == {
        "client-1": "no reply within the deadline"
    }


class Flaky:
    """A trainer of which the first so many trainings fail, whosever they are."""

    def __init__(self, trainer, failures):
        self.trainer, self.failures = trainer, failures
        self.nodes = []

    def __getattr__(self, name):
        return getattr(self.trainer, name)

    def train(self, instruction, data):
        self.nodes.append(instruction.node)
        if len(self.nodes) <= self.failures:
            raise RuntimeError("no power")
        return self.trainer.train(instruction, data)


def test_a_round_below_its_quorum_is_run_again_with_another_cohort(parts, heard):
    made = parts(momentum=0.9)
    flaky = Flaky(made.trainer, failures=3)
    asked = task(rounds=2, cohort=2, quorum=2, below_quorum=QuorumPolicy.retry)
    result = run(asked, replace(made, trainer=flaky))
    assert result.status is Status.FINISHED
    assert len({tuple(told["cohort"]) for told in heard.of("before_round")[:3]}) > 1
    first = heard.of("after_round")[0]["round"]
    assert sum(kinds["failed"] for kinds in first.dropped.values()) == 3
    assert first.sent == 3 * 2 * 36
    assert result.dropped == {"failed": 3}


def test_a_round_is_run_so_many_times_and_no_more(parts):
    made = parts()
    flaky = Flaky(made.trainer, failures=99)
    with pytest.raises(TaskError, match="round 1 has 0 good updates, its quorum is 1"):
        run(
            task(cohort=2, below_quorum=QuorumPolicy.retry, attempts=2),
            replace(made, trainer=flaky),
        )
    assert len(flaky.nodes) == 4


def test_an_attempt_that_missed_its_quorum_leaves_no_trace_in_the_collector(parts, tmp_path, toys):
    """Momentum of a failed attempt would change the bits of the round after it."""
    made = parts(momentum=0.9)
    state = made.collector.state()
    with pytest.raises(TaskError):
        run(task(quorum=6), replace(made, trainer=Flaky(made.trainer, failures=1)))
    assert made.collector.state() == state


def test_a_paused_task_says_so(parts, heard):
    made = parts()
    statuses = []

    def hear(status, **_):
        statuses.append(status)
        if status is Status.PAUSED:
            made.control.resume()

    heard.aeros_on_status = hear
    heard.aeros_before_round = lambda number, **_: made.control.pause() if number == 2 else None
    run(task(), made)
    assert statuses[2:] == [Status.RUNNING, Status.PAUSED, Status.RUNNING, Status.FINISHED]


# ---------------------------------------------------------------- what collectors can


class Buffered:
    """A collector that takes two differences a step, whenever they come."""

    buffer, max_staleness = 2, 8

    def __init__(self):
        self.staleness = []

    def aggregate(self, parameters, updates):
        taken = list(updates)
        self.staleness += [update.scalars["staleness"] for update in taken]
        change = np.mean([update.parameters.vector for update in taken], axis=0)
        return Parameters(parameters.layout, {"float32": parameters.vector + change})


def test_an_asynchronous_task_learns_without_waiting_for_a_round(parts, heard):
    collector = Buffered()
    result = run(task(rounds=12, cohort=4), parts(collector=collector))
    assert result.status is Status.FINISHED
    assert result.metrics["accuracy"] > 0.9
    assert all(len(told["round"].nodes) <= 2 for told in heard.of("after_round"))
    assert len(collector.staleness) == 24
    assert max(collector.staleness) >= 1
    assert sum(told["round"].sent for told in heard.of("after_round")) == result.sent


def test_an_asynchronous_task_cannot_wait_for_an_evaluation(parts):
    with pytest.raises(ConfigError, match=r"task\.evaluation\.federated=true has to wait"):
        run(task(evaluation=Evaluating(federated=True)), parts(collector=Buffered()))


class Averaged:
    """A collector that shows zeros in place of its parameters."""

    def __init__(self, collector):
        self.collector = collector

    def aggregate(self, parameters, updates):
        return self.collector.aggregate(parameters, updates)

    def averaged(self, parameters):
        return Parameters.zeros(parameters.layout)


def test_what_is_measured_and_published_is_what_the_collector_shows(parts, heard):
    made = parts()
    result = run(task(), replace(made, collector=Averaged(made.collector)))
    stored = made.repository.model("toy").parameters
    assert not stored.vector.any()
    assert heard.of("after_round")[-1]["parameters"].vector.any()
    data = prepare(made.transformers, 0)
    assert result.metrics == made.trainer.evaluate(stored, data.test)


class Personal:
    """A collector that leaves some tensors to their nodes."""

    def __init__(self, collector, *patterns):
        self.collector, self.patterns = collector, patterns

    def aggregate(self, parameters, updates):
        return self.collector.aggregate(parameters, updates)

    def broadcast(self, round):
        return Broadcast(personal=self.patterns)


def test_tensors_that_stay_on_their_nodes_never_change_globally(parts, heard):
    made = parts()
    run(task(), replace(made, collector=Personal(made.collector, "bias")))
    start = made.trainer.initialise(prepare(made.transformers, 0).schema, seeding.seed(0, "model"))
    last = heard.of("after_round")[-1]["parameters"]
    assert last["bias"].tolist() == start["bias"].tolist()
    assert (last["weight"] != start["weight"]).all()


def test_what_nodes_keep_comes_back_when_a_task_is_resumed(parts, tmp_path, toys):
    def personal(made):
        return replace(made, collector=Personal(made.collector, "bias"))

    whole = run(task(rounds=5), personal(parts()))
    made = personal(parts(repository=toys.Files(path=tmp_path / "other")))
    with pytest.raises(Interrupted):
        run(task(rounds=5), replace(made, trainer=Trips(made.trainer, 4, KeyboardInterrupt())))
    again = personal(parts(repository=made.repository))
    assert run(task(rounds=5, resume=True), again).model["digest"] == whole.model["digest"]


# ---------------------------------------------------------------- evaluation


def test_evaluation_is_thinned_but_never_after_the_last_round(parts, heard):
    run(task(rounds=5, evaluation=Evaluating(every=2)), parts())
    measured = [bool(told["round"].metrics) for told in heard.of("after_round")]
    assert measured == [False, True, False, True, True]
    assert all(told["round"].training["loss"] > 0 for told in heard.of("after_round"))


def test_without_central_evaluation_or_a_test_split_nothing_is_measured_centrally(parts, heard):
    result = run(task(rounds=1, evaluation=Evaluating(central=False)), parts())
    assert result.metrics == {}


class Watching:
    """A trainer that keeps which rows it was given for what."""

    def __init__(self, trainer):
        self.trainer = trainer
        self.trained, self.evaluated = {}, {}

    def __getattr__(self, name):
        return getattr(self.trainer, name)

    def train(self, instruction, data):
        self.trained.setdefault(instruction.node, set()).update(data.rows.tolist())
        return self.trainer.train(instruction, data)

    def evaluate(self, parameters, data):
        self.evaluated.setdefault(None if data.rows is None else len(self.evaluated), data.rows)
        return self.trainer.evaluate(parameters, data)


def test_federated_evaluation_keeps_rows_that_are_never_trained_on(parts, heard):
    made = parts(clients=4)
    watching = Watching(made.trainer)
    asked = Evaluating(central=False, federated=True, holdout=0.25)
    result = run(task(evaluation=asked), replace(made, trainer=watching))
    trained = set().union(*watching.trained.values())
    held = {row for rows in watching.evaluated.values() for row in rows.tolist()}
    assert len(trained) == 180
    assert len(held) == 60
    assert not trained & held
    last = heard.of("after_round")[-1]["round"]
    assert last.metrics == {}
    assert result.metrics == last.federated
    assert 0.8 < last.federated["accuracy"] <= 1.0


def test_federated_metrics_are_the_mean_over_all_held_rows(parts):
    made = parts(clients=4)
    watching = Watching(made.trainer)
    asked = Evaluating(central=False, federated=True, holdout=0.25)
    result = run(task(rounds=1, evaluation=asked), replace(made, trainer=watching))
    data = prepare(made.transformers, 0)
    held = np.concatenate(list(watching.evaluated.values()))
    expected = made.trainer.evaluate(made.repository.model("toy").parameters, data.train.take(held))
    assert result.metrics == pytest.approx(expected, rel=1e-5)


def test_central_and_federated_evaluation_can_be_had_together(parts, heard):
    run(task(rounds=1, evaluation=Evaluating(federated=True)), parts())
    last = heard.of("after_round")[-1]["round"]
    assert last.metrics["accuracy"] > 0
    assert last.federated["accuracy"] > 0
    assert last.watched == last.metrics


# ---------------------------------------------------------------- ends


class Trips:
    """A trainer that raises in a round of choice."""

    def __init__(self, trainer, round, error):
        self.trainer, self.round, self.error = trainer, round, error

    def __getattr__(self, name):
        return getattr(self.trainer, name)

    def train(self, instruction, data):
        if instruction.round == self.round and instruction.node == "client-2":
            raise self.error
        return self.trainer.train(instruction, data)


@pytest.mark.parametrize(
    ("number", "kept"), [(1, "no round is committed"), (3, "rounds 1 to 2 are committed")]
)
def test_ctrl_c_in_mid_round_leaves_what_was_committed(parts, heard, number, kept):
    made = parts()
    tripping = replace(made, trainer=Trips(made.trainer, number, KeyboardInterrupt()))
    with pytest.raises(Interrupted) as interrupted:
        run(task(), tripping)
    run_id = made.repository.runs()[0].id
    assert str(interrupted.value) == (
        f"interrupted; {kept} in run {run_id}\n"
        "  next: the same command with task.resume=true goes on"
    )
    assert len(made.repository.history(run_id)) == number - 1
    assert made.repository.result(run_id)["status"] == "INTERRUPTED"
    assert made.repository.result(run_id)["rounds"] == number - 1
    assert heard.names()[-3:] == ["on_error", "on_status", "after_task"]


def test_a_cancelled_task_ends_between_messages(parts, heard):
    made = parts()

    def cancel_in_round_two(number, **_):
        if number == 2:
            made.control.cancel()

    heard.aeros_before_round = cancel_in_round_two
    with pytest.raises(TaskError, match="the task was cancelled"):
        run(task(), made)
    run_id = made.repository.runs()[0].id
    assert made.repository.result(run_id)["status"] == "CANCELLED"
    assert [r.number for r in made.repository.history(run_id)] == [1]


def test_what_is_wrong_on_every_node_ends_the_task_at_once(parts):
    made = parts()
    tripping = replace(made, trainer=Trips(made.trainer, 1, ConfigError("no such optimizer")))
    with pytest.raises(ConfigError, match="no such optimizer"):
        run(task(), tripping)
    assert made.repository.result(made.repository.runs()[0].id)["status"] == "FAILED"


class Full:
    """A repository whose disk is full after some rounds."""

    def __init__(self, repository, after):
        self.repository, self.after = repository, after

    def __getattr__(self, name):
        return getattr(self.repository, name)

    def commit(self, run, checkpoint):
        if checkpoint.round.number > self.after:
            raise RepositoryError("the disk is full")
        self.repository.commit(run, checkpoint)

    def finish(self, run, result):
        raise RepositoryError("the disk is full")


def test_a_full_disk_ends_the_task_and_everybody_hears_of_it(parts, heard):
    made = parts()
    with pytest.raises(RepositoryError, match="the disk is full"):
        run(task(), replace(made, repository=Full(made.repository, after=1)))
    assert [r.number for r in made.repository.history(made.repository.runs()[0].id)] == [1]
    assert heard.names()[-3:] == ["on_error", "on_status", "after_task"]
    ended = heard.of("after_task")[0]["result"]
    assert (ended.status, ended.rounds, ended.model) == (Status.FAILED, 1, {})


def test_a_result_that_cannot_be_stored_fails_the_task(parts, heard):
    made = parts()
    with pytest.raises(RepositoryError, match="the disk is full"):
        run(task(), replace(made, repository=Full(made.repository, after=9)))
    assert [told["result"].status for told in heard.of("after_task")] == [Status.FAILED]


# ---------------------------------------------------------------- going on


def test_a_resumed_task_ends_with_the_bits_of_an_undisturbed_one(parts, tmp_path, toys):
    whole = run(task(rounds=5), parts(momentum=0.9))
    made = parts(momentum=0.9, repository=toys.Files(path=tmp_path / "other"))
    with pytest.raises(Interrupted):
        run(task(rounds=5), replace(made, trainer=Trips(made.trainer, 4, KeyboardInterrupt())))
    again = parts(momentum=0.9, repository=made.repository)
    result = run(task(rounds=5, resume=True), again)
    assert result.model["digest"] == whole.model["digest"]
    assert result.metrics == whole.metrics
    assert (result.rounds, result.sent) == (5, whole.sent)
    assert len(made.repository.runs()) == 1


def test_without_the_collectors_state_the_bits_would_differ(parts):
    """The resume test above could not fail if momentum did not matter."""
    digests = {run(task(rounds=5), parts(momentum=m)).model["digest"] for m in (0.0, 0.9)}
    assert len(digests) == 2


def test_resuming_adds_the_time_of_earlier_sittings(parts):
    made = parts(pause=0.01)
    first = run(task(rounds=2), made)
    second = run(task(rounds=3, resume=True), replace(parts(), repository=made.repository))
    assert second.seconds > first.seconds > 0.12


def test_a_round_says_where_its_time_went(parts, heard):
    made = parts(pause=0.01)
    run(task(rounds=2), made)
    for told in heard.of("after_round"):
        spent = told["round"].seconds
        phases = [spent[p] for p in ("select", "send", "work", "receive", "aggregate")]
        assert sum(phases) == pytest.approx(spent["train"], abs=1e-6)
        assert spent["train"] + spent["evaluate"] == pytest.approx(spent["total"], abs=1e-6)
        assert spent["aggregate"] >= 6 * 0.01  # six nodes of this process
        assert spent["select"] > 0
    first, second = (told["round"].seconds["commit"] for told in heard.of("after_round"))
    assert first == 0 < second  # of the round before


class NoTraining:
    """A trainer that must not be asked to train."""

    def __init__(self, trainer):
        self.trainer = trainer

    def __getattr__(self, name):
        return getattr(self.trainer, name)

    def train(self, instruction, data):
        raise AssertionError("trained again")


def test_a_finished_run_answers_with_its_result_and_trains_no_more(parts, heard):
    made = parts()
    first = run(task(), made)
    heard.events.clear()
    second = run(task(resume=True), replace(made, trainer=NoTraining(made.trainer)))
    assert second == first
    assert len(made.repository.models()) == 1
    assert heard.names()[-2:] == ["before_task", "after_task"]
    assert len(heard.of("before_task")[0]["history"]) == 3


def test_a_finished_run_goes_on_when_more_rounds_are_asked_for(parts, tmp_path, toys):
    made = parts(momentum=0.9)
    run(task(rounds=2), made)
    longer = run(task(rounds=4, resume=True), parts(momentum=0.9, repository=made.repository))
    whole = run(task(rounds=4), parts(momentum=0.9, repository=toys.Files(path=tmp_path / "w")))
    assert longer.model["digest"] == whole.model["digest"]
    assert [m.version for m in made.repository.models("toy")] == [1, 2]


def test_a_task_that_stopped_at_its_target_goes_on_to_a_higher_one(parts):
    made = parts()
    early = run(task(rounds=20, stop=Stop("loss", 0.8)), made)
    later = run(task(rounds=20, stop=Stop("loss", 0.6), resume=True), made)
    assert early.rounds < later.rounds < 20
    assert later.metrics["loss"] <= 0.6


def test_a_resumed_task_hears_of_the_rounds_before(parts, heard):
    made = parts()
    run(task(rounds=2), made)
    heard.events.clear()
    run(task(rounds=3, resume=True), made)
    assert [r.number for r in heard.of("before_task")[0]["history"]] == [1, 2]
    assert [told["number"] for told in heard.of("before_round")] == [3]


def test_a_model_that_was_published_before_the_end_is_not_published_again(parts):
    made = parts()
    with pytest.raises(RepositoryError):
        run(task(), replace(made, repository=Full(made.repository, after=9)))
    assert [m.version for m in made.repository.models("toy")] == [1]
    result = run(task(resume=True), made)
    assert (result.status, result.model["version"]) == (Status.FINISHED, 1)
    assert len(made.repository.models("toy")) == 1


# ---------------------------------------------------------------- the model


class Shelf:
    """A repository that keeps what was published as it was."""

    def __init__(self, repository):
        self.repository = repository
        self.published = []

    def __getattr__(self, name):
        return getattr(self.repository, name)

    def publish(self, model):
        self.published.append(model)
        return self.repository.publish(model)


def test_the_model_carries_what_its_use_needs(parts):
    made = parts()
    config = {
        "transformer": {"scale": {"_target_": "toy_parts.Scale"}, "even": {"clients": 6}},
        "trainer": {"model": {"_target_": "toy_parts.Steep", "slope": 2.0}},
    }
    shelf = Shelf(made.repository)
    run(task(), replace(made, repository=shelf, config=config))
    (model,) = shelf.published
    data = prepare(made.transformers, 0)
    assert isinstance(data, Prepared)
    assert model.name == "toy"
    assert model.schema == data.schema
    assert model.module == config["trainer"]["model"]
    assert model.transformers == {"scale": {"_target_": "toy_parts.Scale"}}
    assert model.fitted == {"scale": {"by": made.transformers["scale"].by}}
    assert (model.run, model.round) == (made.repository.runs()[0].id, 3)
    assert model.versions == made.versions
    assert model.metrics["accuracy"] > 0.9
    assert model.samples == {}  # nobody said that these data are public


def test_rows_of_the_test_split_go_with_the_model_where_that_is_asked_for(parts):
    made = parts()
    shelf = Shelf(made.repository)
    run(task(samples=2), replace(made, repository=shelf))
    test = prepare(made.transformers, 0).test
    assert shelf.published[0].samples.keys() == {"point"}
    some = test.batch()["point"][[0, len(test) - 1]]
    np.testing.assert_array_equal(shelf.published[0].samples["point"], some)


class Silent:
    """A trainer of which every node fails, in every round."""

    def initialise(self, schema, seed):
        return Parameters.of({"w": np.zeros(1, dtype="float32")})

    def evaluate(self, parameters, data):
        return {}


def test_replies_that_are_no_updates_are_no_updates(parts, scripted):
    made = parts()
    data = prepare(made.transformers, 0)
    nodes = scripted(*(Failure(f"client-{i}", 1, "gone") for i in range(3)))
    with pytest.raises(TaskError, match="round 1 has 0 good updates"):
        Rounds(task(), replace(made, trainer=Silent()), nodes, data).run()
    assert nodes.abandoned


class Boasting:
    """A trainer whose client-0 says that it has more examples than the others together."""

    def __init__(self, trainer, claim):
        self._trainer, self._claim = trainer, claim

    def __getattr__(self, name):
        return getattr(self._trainer, name)

    def expects(self, schema):
        return self._trainer.expects(schema)

    def initialise(self, schema, seed):
        return self._trainer.initialise(schema, seed)

    def evaluate(self, parameters, data):
        return self._trainer.evaluate(parameters, data)

    def train(self, instruction, data):
        update = self._trainer.train(instruction, data)
        return replace(update, examples=self._claim) if instruction.node == "client-0" else update


HUGE = pytest.param(10**5000, id="huge")


@pytest.mark.parametrize("claim", [10**15, 41, True, float("nan"), HUGE])
def test_nobody_may_claim_more_examples_than_it_has(parts, heard, linear, claim):
    made = parts(trainer=Boasting(linear(), claim))
    result = run(task(), made)
    for told in heard.of("after_round"):
        assert "client-0" not in told["round"].nodes
        assert told["round"].dropped == {"client-0": {"examples": 1}}
    assert result.dropped == {"examples": 3}


class Uneven:
    """Cuts the data so that client-0 has nearly all of it."""

    def __init__(self, clients):
        self.clients = clients

    def partition(self, data, rng):
        from aeros_core.data import Partition

        first = len(data) - 5 * (self.clients - 1)
        ends = [0, *(first + 5 * i for i in range(self.clients))]
        return Partition(np.arange(len(data)), np.array(ends))

    def output_schema(self, schema):
        return schema


def uneven(parts):
    made = parts(clients=6)
    return replace(made, transformers={**made.transformers, "even": Uneven(6)})


@pytest.mark.parametrize("ordered", [True, False])
def test_no_node_weighs_more_than_its_share(parts, heard, ordered):
    result = run(task(rounds=2, ordered=ordered), uneven(parts))
    done = [told["round"] for told in heard.of("after_round")]
    assert [r.capped for r in done] == [{"client-0": {"train": 25}}] * 2
    assert result.capped == {"client-0": 2}
    assert done[0].nodes["client-0"]["examples"] == 215
    heard_of = {told["update"].node: told["update"].examples for told in heard.of("after_update")}
    assert heard_of["client-0"] == 215
    losses = {n: f["loss"] for n, f in done[0].nodes.items()}
    counted = {n: 25 if n == "client-0" else 5 for n in losses}
    expected = sum(counted[n] * losses[n] for n in losses) / sum(counted.values())
    assert done[0].training["loss"] == pytest.approx(expected)


def test_the_rule_gets_the_weights_that_count(parts):
    made, given = uneven(parts), []

    class Watching:
        def aggregate(self, parameters, updates):
            given.append({update.node: update.examples for update in updates})
            return parameters

    run(task(rounds=1), replace(made, collector=Watching()))
    run(task(rounds=1, name="free", max_share=1), replace(made, collector=Watching()))
    assert given[0] == {"client-0": 25, **{f"client-{i}": 5 for i in range(1, 6)}}
    assert given[1]["client-0"] == 215


def test_where_nobody_exceeds_its_share_the_bits_are_those_without_a_limit(parts, toys, tmp_path):
    digests = set()
    for number, share in enumerate((0.5, 0.2, 1)):
        made = parts(momentum=0.9, repository=toys.Files(path=tmp_path / str(number)))
        digests.add(run(task(max_share=share), made).model["digest"])
    assert len(digests) == 1


class Telling(Boasting):
    """A trainer whose client-0 reports what it is made with."""

    def train(self, instruction, data):
        update = self._trainer.train(instruction, data)
        return replace(update, metrics=self._claim) if instruction.node == "client-0" else update


@pytest.mark.parametrize(
    ("metrics", "kind"),
    [
        ({f"m{i}": 0.0 for i in range(200_000)}, "figures"),
        ({"loss": "low"}, "figures"),
        ({"examples": 1e15, "loss": 0.1}, "figures"),
        ({"loss": float("nan")}, "not finite"),
    ],
    ids=["200000", "text", "reserved", "nan"],
)
def test_what_one_node_reports_stops_no_round(parts, heard, linear, metrics, kind):
    result = run(task(), parts(trainer=Telling(linear(), metrics)))
    assert result.status is Status.FINISHED
    assert result.dropped == {kind: 3}
    assert all(len(told["round"].nodes) == 5 for told in heard.of("after_round"))


class Diverging(Boasting):
    """A trainer whose evaluations have the loss that it is made with from round 2 on."""

    rounds = 0

    def train(self, instruction, data):
        self.rounds = instruction.round
        return self._trainer.train(instruction, data)

    def evaluate(self, parameters, data):
        measured = dict(self._trainer.evaluate(parameters, data))
        return measured | ({"loss": self._claim} if self.rounds > 1 else {})


@pytest.mark.parametrize("where", ["central", "federated"])
@pytest.mark.parametrize("loss", [float("inf"), float("-inf"), float("nan")])
def test_a_run_whose_loss_is_not_finite_fails(parts, heard, linear, loss, where):
    made = parts(trainer=Diverging(linear(), loss))
    measured = Evaluating(central=where == "central", federated=where == "federated")
    with pytest.raises(TaskError) as failed:
        run(task(evaluation=measured), made)
    assert str(failed.value).startswith("round 2: the evaluation's loss is ")
    assert "trainer.clip_norm=1" in failed.value.hint
    assert heard.of("after_task")[-1]["result"].status is Status.FAILED
    assert heard.of("after_task")[-1]["result"].rounds == 1
    assert not made.repository.models("toy")


def test_one_node_whose_evaluation_is_not_finite_fails_no_run(parts, heard, linear):
    class Lying(Boasting):
        def train(self, instruction, data):
            return self._trainer.train(instruction, data)

        def evaluate(self, parameters, data):
            self.asked = getattr(self, "asked", 0) + 1
            measured = dict(self._trainer.evaluate(parameters, data))
            return measured | ({"loss": float("nan")} if self.asked % 6 == 1 else {})

    measured = Evaluating(central=False, federated=True)
    result = run(task(evaluation=measured), parts(trainer=Lying(linear(), None)))
    assert result.status is Status.FINISHED
    assert result.dropped == {"not finite": 3}
    assert np.isfinite(result.metrics["loss"])


def test_a_rule_that_makes_parameters_that_are_not_finite_fails_the_run(parts, heard):
    class Bursting:
        def aggregate(self, parameters, updates):
            made = parameters.copy()
            made.vector[sum(1 for _ in updates)] = np.inf
            return made

    quiet = Evaluating(central=False)
    with pytest.raises(TaskError, match="round 1: the aggregated parameters of float32 hold NaN"):
        run(task(evaluation=quiet), parts(collector=Bursting()))
    assert heard.of("after_task")[-1]["result"].status is Status.FAILED


@pytest.mark.parametrize("dtype", ["complex64", "complex128", "longdouble"])
def test_a_model_with_numbers_that_no_rule_averages_is_refused_at_the_start(parts, linear, dtype):
    class Odd(Boasting):
        def initialise(self, schema, seed):
            return Parameters.of({"w": np.zeros(9, "f4"), "phase": np.zeros(2, dtype)})

    made = parts(trainer=Odd(linear(), None))
    with pytest.raises(ConfigError, match="tensor 'phase' of the model has dtype") as refused:
        run(task(), made)
    assert "float16, float32, float64" in refused.value.exists
    assert not made.repository.runs("toy")


def test_where_every_update_is_not_finite_the_advice_is_about_the_training(parts):
    everyone = [f"client-{i}" for i in range(6)]
    with pytest.raises(TaskError, match="round 1 has 0 good updates") as failed:
        run(task(), parts(poison=everyone))
    assert "trainer.clip_norm=1" in failed.value.hint
    assert "task.resume" not in failed.value.hint

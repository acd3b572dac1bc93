from dataclasses import replace

import numpy as np
import pytest

from aeros_core.controllers.local import LocalController, LocalNodes
from aeros_core.data import Partition
from aeros_core.errors import ConfigError, DataError
from aeros_core.messages import Action, Evaluation, Failure, Instruction, Update
from aeros_core.parameters import Layout, Parameters
from aeros_core.preprocessing.pipeline import prepare
from aeros_core.tasks.subtask import Requirements, Subtask
from aeros_core.tasks.task import Evaluating, Task


@pytest.fixture
def data(parts):
    return prepare(parts().transformers, 0)


def instruct(*nodes, action=Action.TRAIN):
    layout = Layout.of({"weight": ((2, 3), "float32"), "bias": ((3,), "float32")})
    parameters = Parameters.zeros(layout)
    return [Instruction(1, node, parameters, action, seed=1) for node in nodes]


def cut(data, *sizes, names=None):
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    return replace(data, partition=Partition(np.arange(offsets[-1]), offsets, names))


def test_instructions_are_carried_out_in_order_as_replies_are_asked_for(data, parts):
    nodes = LocalNodes(Task(), parts().trainer, data)
    nodes.dispatch(instruct("client-2", "client-0"))
    first, second = nodes.receive(None), nodes.receive(1.0)
    assert (first.node, second.node) == ("client-2", "client-0")
    assert isinstance(first, Update)
    assert first.examples == 40
    assert nodes.receive(None) is None


def test_a_node_trains_on_its_own_rows(data):
    seen = []

    class Looks:
        def train(self, instruction, rows):
            seen.append(rows.rows.tolist())
            return Update(instruction.node, 1, instruction.parameters, len(rows))

    nodes = LocalNodes(Task(), Looks(), cut(data, 2, 3, names=("a", "b")))
    assert (len(nodes), nodes.name(1)) == (2, "b")
    nodes.dispatch(instruct("b"))
    nodes.receive(None)
    assert seen == [[2, 3, 4]]


def test_once_the_time_is_over_nothing_more_is_begun(data, parts):
    nodes = LocalNodes(Task(), parts().trainer, data)
    nodes.dispatch(instruct("client-0"))
    assert nodes.receive(0.0) is None
    assert nodes.receive(-1.0) is None
    assert nodes.receive(1.0).node == "client-0"


def test_what_was_not_begun_can_be_abandoned(data, parts):
    nodes = LocalNodes(Task(), parts().trainer, data)
    nodes.dispatch(instruct("client-0"))
    nodes.abandon()
    assert nodes.receive(None) is None


@pytest.mark.parametrize(
    "error",
    [DataError("the file is damaged"), ValueError("too small"), ZeroDivisionError("by zero")],
)
def test_a_nodes_own_failure_is_its_reply(data, error):
    class Fails:
        def train(self, instruction, rows):
            raise error

    nodes = LocalNodes(Task(), Fails(), data)
    nodes.dispatch(instruct("client-3"))
    assert nodes.receive(None) == Failure("client-3", 1, f"{type(error).__name__}: {error}")


@pytest.mark.parametrize("error", [ConfigError("no such loss"), KeyboardInterrupt(), TypeError()])
def test_what_is_no_nodes_failure_is_raised(data, error):
    class Fails:
        def train(self, instruction, rows):
            raise error

    nodes = LocalNodes(Task(), Fails(), data)
    nodes.dispatch(instruct("client-3"))
    with pytest.raises(type(error)):
        nodes.receive(None)


def test_evaluation_is_answered_with_metrics(data, parts):
    nodes = LocalNodes(Task(), parts().trainer, data)
    nodes.dispatch(instruct("client-1", action=Action.EVALUATE))
    reply = nodes.receive(None)
    assert isinstance(reply, Evaluation)
    assert reply.examples == 40
    assert set(reply.metrics) == {"loss", "accuracy"}


@pytest.mark.parametrize(("holdout", "kept"), [(0.2, 8), (0.001, 1), (0.999, 39)])
def test_a_hold_out_is_kept_apart_and_the_same_in_every_round(data, holdout, kept):
    seen = {Action.TRAIN: [], Action.EVALUATE: []}

    class Looks:
        def train(self, instruction, rows):
            seen[Action.TRAIN].append(rows.rows.tolist())
            return Update(instruction.node, 1, instruction.parameters, len(rows))

        def evaluate(self, parameters, rows):
            seen[Action.EVALUATE].append(rows.rows.tolist())
            return {"loss": 0.0}

    task = Task(seed=3, evaluation=Evaluating(federated=True, holdout=holdout))
    nodes = LocalNodes(task, Looks(), data)
    for _ in range(2):
        nodes.dispatch(instruct("client-1"))
        nodes.receive(None)
        nodes.dispatch(instruct("client-1", action=Action.EVALUATE))
        nodes.receive(None)
    (train, again), (held, held_again) = seen[Action.TRAIN], seen[Action.EVALUATE]
    assert (train, held) == (again, held_again)
    assert len(held) == kept
    assert sorted(train + held) == sorted(data.partition[1].tolist())


def test_a_client_without_an_example_is_refused_by_name(data, parts):
    with pytest.raises(ConfigError) as refused:
        LocalNodes(Task(), parts().trainer, cut(data, 5, 0, 3, names=("a", "b", "c")))
    assert str(refused.value) == (
        "client 'b' is left with 0 examples, it needs 1\n"
        "  next: cut the data into fewer clients, or set the partitioner's min_examples"
    )


def test_with_federated_evaluation_one_example_is_not_enough(data, parts):
    one = cut(data, 5, 1)
    assert len(LocalNodes(Task(), parts().trainer, one)) == 2
    with pytest.raises(ConfigError, match="client 'client-1' is left with 1 examples, it needs 2"):
        LocalNodes(Task(evaluation=Evaluating(federated=True)), parts().trainer, one)


class Together:
    """A trainer that trains many clients in one call."""

    def __init__(self, trainer):
        self.trainer = trainer
        self.cohorts = []

    def __getattr__(self, name):
        return getattr(self.trainer, name)

    def train_cohort(self, instructions, data):
        self.cohorts.append([i.node for i in instructions])
        for instruction, rows in zip(instructions, data, strict=True):
            yield self.trainer.train(instruction, rows)


def test_a_trainer_that_can_trains_a_whole_cohort_in_one_call(parts):
    alone, made = parts(), parts()
    together = Together(made.trainer)
    task = Task(rounds=2, evaluation=Evaluating(federated=True))
    one = LocalController().run(task, alone)
    other = LocalController().run(task, replace(made, trainer=together))
    assert together.cohorts == [[f"client-{i}" for i in range(6)]] * 2
    assert other.model["digest"] == one.model["digest"]
    assert other.metrics == one.metrics


def test_a_members_failure_is_its_own(data):
    class Fails:
        def train_cohort(self, instructions, rows):
            for told in instructions:
                if told.node == "client-1":
                    yield Failure(told.node, told.round, "DataError: the file is damaged")
                else:
                    yield Update(told.node, 1, told.parameters, 1)

    nodes = LocalNodes(Task(), Fails(), data)
    nodes.dispatch(instruct(*(f"client-{i}" for i in range(3))))
    replies = [nodes.receive(None) for _ in range(4)]
    assert replies[1] == Failure("client-1", 1, "DataError: the file is damaged")
    assert [type(reply) for reply in replies] == [Update, Failure, Update, type(None)]


def test_a_cohort_that_breaks_is_trained_one_by_one(data):
    class Breaks:
        def train_cohort(self, instructions, rows):
            yield Update(instructions[0].node, 1, instructions[0].parameters, 1)
            raise RuntimeError("out of memory")

        def train(self, told, rows):
            if told.node == "client-2":
                raise DataError("the file is damaged")
            return Update(told.node, 1, told.parameters, 7)

    nodes = LocalNodes(Task(), Breaks(), data)
    nodes.dispatch(instruct(*(f"client-{i}" for i in range(4))))
    replies = [nodes.receive(None) for _ in range(5)]
    assert [r.examples if isinstance(r, Update) else r for r in replies] == [
        1, 7, Failure("client-2", 1, "DataError: the file is damaged"), 7, None,
    ]  # fmt: skip


def test_what_no_member_can_do_is_raised(data):
    class Fails:
        def train_cohort(self, instructions, rows):
            raise ConfigError("no such loss")
            yield

    nodes = LocalNodes(Task(), Fails(), data)
    nodes.dispatch(instruct("client-0", "client-1"))
    with pytest.raises(ConfigError, match="no such loss"):
        nodes.receive(None)


def test_a_cohort_waits_its_turn_and_can_be_abandoned(data, parts):
    nodes = LocalNodes(Task(), Together(parts().trainer), data)
    nodes.dispatch(instruct("client-0", "client-1"))
    assert nodes.receive(None).node == "client-0"
    nodes.dispatch(instruct("client-2"))
    assert [nodes.receive(None).node for _ in range(2)] == ["client-1", "client-2"]
    nodes.dispatch(instruct("client-3", "client-4"))
    nodes.receive(None)
    nodes.abandon()
    assert nodes.receive(None) is None


def test_requirements_are_held_against_this_machine_before_any_data_is_loaded(parts):
    made = parts(config={"infrastructure": {"labels": {"site": "Madrid"}}})
    transformers = {"blobs": None}
    wanting = Subtask(requires=Requirements(labels={"site": "Warszawa"}))
    task = Task(subtasks={"train": wanting})
    with pytest.raises(ConfigError, match=r"labels\.site=Warszawa, it carries site=Madrid"):
        LocalController().run(task, replace(made, transformers=transformers))
    met = Task(subtasks={"train": Subtask(requires=Requirements(labels={"site": "Madrid"}))})
    assert LocalController().run(met, made).rounds == 10


def test_data_that_do_not_meet_the_model_stop_the_task_before_it_begins(parts):
    made = parts(features=7)
    with pytest.raises(ConfigError, match="the data do not meet what the model declares"):
        LocalController().run(Task(), made)
    assert made.repository.runs() == []

"""Third-party ClientApps behind the controller's nodes, without a wire between."""

import numpy as np
import pytest
from flwr.app import ArrayRecord, MetricRecord, RecordDict

from aeros_core.data import Partition
from aeros_core.messages import Action, Evaluation, Failure, Instruction, Update
from aeros_core.parameters import Parameters
from aeros_core.schema import Field, Schema
from aeros_core.tasks.subtask import Requirements, Subtask
from aeros_core.tasks.task import Task
from aeros_flower.controller import controller
from aeros_flower.controller.nodes import FlowerNodes
from aeros_flower.membership.executors import Executors
from aeros_flower.protocol import flower_records, messages
from aeros_flower.superlink import plain_nodes
from aeros_flower.superlink.embedded import PulledMessages
from aeros_flower.superlink.plain_nodes import PlainTransport

BASE = Parameters.of({"w": np.zeros((2, 2), "float32"), "b": np.ones(2, "float32")})
SCHEMA = Schema((Field("x", "float32", (2,)), Field("y", "int64")), target="y")


class Line:
    """Two nodes that answer at once, as `embedded.EmbeddedSuperLink` hands answers over."""

    def __init__(self, answer, executors=()):
        self.answer, self.kinds, self.waiting, self.taken = answer, [], {}, []
        self.known = set(executors)

    def nodes(self):
        return {11, 12}

    def executors(self):
        return self.known

    def push(self, node, content, seconds=None, kind="train.aeros"):
        self.kinds.append((node, kind))
        message = f"m{len(self.kinds)}"
        self.waiting[message] = self.answer(node, content, message)
        return message

    def pull(self, messages, most=1):
        here = [message for message in messages if message in self.waiting][:most]
        return [self.waiting.pop(message) for message in here]

    def recall(self, messages):
        self.taken += list(messages)
        return self.taken

    def wait(self, seconds):
        return True


def trained(node, content, message):
    """Answer as Flower's quickstart with numpy does: arrays by number, a metric of examples."""
    arrays = [array + node for array in content["arrays"].to_numpy_ndarrays()]
    metrics = MetricRecord({"num-examples": 10 * node, "loss": 0.5})
    return PulledMessages(message, RecordDict({"arrays": ArrayRecord(arrays), "metrics": metrics}))


@pytest.fixture(autouse=True)
def bold(monkeypatch):
    """Nobody waits for executors to show themselves."""
    monkeypatch.setattr(plain_nodes, "_SHY", 0.0)


def nodes_of(line, **requires):
    post = PlainTransport(line, SCHEMA, {"lr": 0.25})
    heard = []

    def judge(member):
        heard.append(Schema.from_json(member.told["schema"]))
        return ""

    task = Task(subtasks={"train": Subtask(requires=Requirements(**requires))})
    chosen = controller.choose(task, plain=True)
    roster = Executors(
        post, messages.pack_note("prepare", {"config": {}}), judge, heard.append, chosen
    )
    whole = Partition(np.arange(2), np.array([0, 2]))
    return FlowerNodes(post, roster, whole), heard


def told(nodes, **more):
    return [Instruction(1, nodes.name(n), BASE, **more) for n in range(len(nodes))]


def replies(nodes, instructions):
    nodes.dispatch(instructions)
    return {reply.node: reply for reply in (nodes.receive(20) for _ in instructions)}


def test_each_node_is_a_client_and_answers_in_its_own_dialect():
    line = Line(trained)
    nodes, heard = nodes_of(line)
    assert len(nodes) == 2
    assert heard == [
        SCHEMA, "executor flower-11 takes part", SCHEMA, "executor flower-12 takes part",
    ]  # fmt: skip
    got = replies(nodes, told(nodes))
    assert set(got) == {"flower-11", "flower-12"}
    for number in (11, 12):
        update = got[f"flower-{number}"]
        assert isinstance(update, Update)
        assert update.examples == 10 * number
        assert np.array_equal(update.parameters.vector, BASE.vector + number)
    assert line.kinds == [(11, "train"), (12, "train")]


def test_a_difference_where_the_round_wants_one():
    nodes, _ = nodes_of(Line(trained))
    assert len(nodes)
    got = replies(nodes, told(nodes, delta=True))
    assert np.array_equal(got["flower-11"].parameters.vector, np.full(6, 11))
    assert got["flower-11"].delta


def test_evaluations():
    metrics = MetricRecord({"num-examples": 3, "loss": 0.25})
    line = Line(
        lambda node, content, message: PulledMessages(message, RecordDict({"metrics": metrics}))
    )
    nodes, _ = nodes_of(line)
    assert len(nodes)
    got = replies(nodes, told(nodes, action=Action.EVALUATE))
    assert all(isinstance(reply, Evaluation) and reply.examples == 3 for reply in got.values())
    assert line.kinds[0] == (11, "evaluate")


def test_what_the_app_raises_fails_its_node_and_is_not_tried_again():
    line = Line(
        lambda node, content, message: PulledMessages(message, error="error 2: no such file")
    )
    nodes, _ = nodes_of(line)
    assert len(nodes)
    got = replies(nodes, told(nodes))
    assert {reply.reason for reply in got.values()} == {"error 2: no such file"}
    assert len(line.kinds) == 2


def test_arrays_that_do_not_fit_fail_their_node():
    def wrong(node, content, message):
        answer = trained(node, content, message)
        answer.content["arrays"] = ArrayRecord([np.zeros(3, "float32")] * 2)
        return answer

    nodes, _ = nodes_of(Line(wrong))
    assert len(nodes)
    got = replies(nodes, told(nodes))
    assert all(isinstance(reply, Failure) for reply in got.values())
    assert "has shape (3,), not (2, 2)" in got["flower-11"].reason


def test_what_the_dialect_cannot_say_fails_before_it_is_sent():
    line = Line(trained)
    nodes, _ = nodes_of(line)
    assert len(nodes)
    got = replies(nodes, told(nodes, personal=("b",)))
    assert "neither vectors of a rule nor tensors that stay" in got["flower-11"].reason
    assert line.kinds == []


def test_messages_are_taken_back():
    line = Line(trained)
    post = PlainTransport(line, SCHEMA)
    message = post.push(11, messages.pack_instructions([Instruction(1, "flower-11", BASE)]))
    assert post.recall([message, "another"]) == [message]
    assert line.taken == [message]
    assert post.pull([message]) == []


def test_two_clients_behind_one_node_are_a_mistake_of_ours():
    post = PlainTransport(Line(trained), SCHEMA)
    both = messages.pack_instructions([Instruction(1, name, BASE) for name in "ab"])
    with pytest.raises(ValueError, match="2 clients behind a node that is one"):
        post.push(11, both)


def test_numbers_are_announced_as_plain_strategies_do():
    content = flower_records.pack(Instruction(4, "n", BASE, scalars={"proximal_mu": 0.25}))
    assert (content["config"]["server-round"], content["config"]["proximal-mu"]) == (4, 0.25)


def test_what_the_app_reads_is_said_in_each_message_beside_round_and_seed():
    said = []

    def answer(node, content, message):
        said.append(dict(content["config"]))
        return trained(node, content, message)

    nodes, _ = nodes_of(Line(answer))
    assert len(nodes)
    replies(nodes, told(nodes, scalars={"proximal_mu": 0.5}))
    assert said == [{"lr": 0.25, "server-round": 1, "seed": 0, "proximal-mu": 0.5}] * 2


@pytest.mark.parametrize(
    ("requires", "why"),
    [
        ({"cpu_cores": 1}, "cpu_cores=1, it is unknown"),
        ({"memory_mb": 1}, "memory_mb=1, it is unknown"),
        ({"architecture": "x64"}, "architecture=x64, it is unknown"),
        ({"plugins": ["aeros-core"]}, "plugins=aeros-core, it has none"),
    ],
)
def test_what_a_task_requires_is_not_held_against_the_controllers_own_machine(requires, why):
    nodes, heard = nodes_of(Line(trained), **requires)
    len(nodes)
    assert heard == [f"executor flower-{n} stands aside: it lacks {why}" for n in (11, 12)]


def heard_of(node, content, message):
    """Answer as an executor of aeros does that is told that it is not asked."""
    if messages.unpack_note(content, "refused")["reason"] == plain_nodes._EXECUTOR:
        return PulledMessages(message, messages.pack_note("heard", {"name": "edge-7"}))
    raise AssertionError(content)


def test_an_executor_stands_aside_by_name_and_is_told():
    line = Line(lambda node, *given: (heard_of if node == 11 else trained)(node, *given), {11})
    nodes, heard = nodes_of(line)
    assert len(nodes) == 1
    assert f"executor edge-7 stands aside: {plain_nodes._EXECUTOR}" in heard
    assert line.kinds == [(11, "train.aeros")]
    assert set(replies(nodes, told(nodes))) == {"flower-12"}


def test_an_executor_that_answers_something_else_stands_aside_by_number():
    other = messages.pack_note("refused", {"reason": "unreadable"})
    line = Line(lambda node, content, message: PulledMessages(message, other), {11, 12})
    nodes, heard = nodes_of(line)
    len(nodes)
    assert heard == [f"executor node {n} stands aside: {plain_nodes._EXECUTOR}" for n in (11, 12)]


def test_an_executor_that_was_not_known_for_one_fails_with_the_reason():
    other = messages.pack_note("refused", {"reason": "unreadable"})
    nodes, _ = nodes_of(Line(lambda node, content, message: PulledMessages(message, other)))
    assert len(nodes)
    got = replies(nodes, told(nodes))
    assert {reply.reason for reply in got.values()} == {plain_nodes._EXECUTOR}


def test_a_node_that_is_new_is_given_time_to_show_what_it_is(monkeypatch):
    monkeypatch.setattr(plain_nodes, "_SHY", 60.0)
    line = Line(trained)
    post = PlainTransport(line, SCHEMA)
    assert post.nodes() == set()
    line.known.add(12)
    assert post.nodes() == {12}
    monkeypatch.setattr(plain_nodes, "_SHY", 0.0)
    assert post.nodes() == {11, 12}

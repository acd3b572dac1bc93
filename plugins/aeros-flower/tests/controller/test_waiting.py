"""Who is waited for before the first round, who is waited past, and what is said in the end."""

import platform
from pathlib import Path
from types import SimpleNamespace

import pytest

from aeros_core.errors import ConfigError, TaskError
from aeros_core.tasks.subtask import Kind, Requirements, Subtask
from aeros_core.tasks.task import Task
from aeros_flower.controller import waiting
from aeros_flower.controller.controller import choose
from aeros_flower.controller.join_hints import JoinHints
from aeros_flower.controller.waiting import Gathering
from aeros_flower.membership.executors import Executors
from aeros_flower.protocol import messages
from aeros_flower.superlink.embedded import PulledMessages

ELEMENT = {
    "name": "h", "cpu_cores": 2, "memory_mb": 9, "gpu_memory_mb": 0, "architecture": "x64",
}  # fmt: skip


class Line:
    """A line to executors whose time passes only when somebody waits."""

    address = "127.0.0.1:9292"

    def __init__(self):
        self.now, self.due, self.left = 0.0, {}, {}

    def come(self, name, after=0.0, **labels):
        self.due[len(self.due) + 1] = (after, name, labels)

    def nodes(self):
        return {number for number, (after, *_) in self.due.items() if after <= self.now}

    def push(self, node, content, seconds=None):
        self.left[str(node)] = node
        return str(node)

    def pull(self, messages, most=1):
        return [self._told(message) for message in messages]

    def _told(self, message):
        _, name, labels = self.due[self.left[message]]
        said = {"tier": None, "labels": labels, "data": []}
        told = {
            "name": name,
            "own": False,
            "versions": {},
            "element": ELEMENT | {"description": said},
        }
        return PulledMessages(message, messages.pack_note("prepared", told))

    def wait(self, seconds):
        self.now += seconds
        return False


@pytest.fixture
def line(monkeypatch):
    made = Line()
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=lambda: made.now))
    return made


def gathered(line, expected, site=None, only=(), judge=lambda member: "", wait=60.0, **invited):
    labels = {"site": site} if site else {}
    asked = Subtask(kind=Kind.train, requires=Requirements(labels=labels))
    chosen, told = choose(Task(subtasks={"train": asked}), None, only), []
    roster = Executors(line, messages.pack_note("prepare", {}), judge, told.append, chosen)
    Gathering(line, roster, expected, wait, JoinHints(**invited)).wait(lambda: None)
    return sorted(member.name for member in roster.fit), told


def faulty(member):
    return "aeros-torch 2 is needed, it has 1" if member.name.startswith("old") else ""


def test_enough_are_there_at_once(line):
    line.come("a")
    assert gathered(line, 1) == (["a"], ["executor a takes part"])
    assert line.now == 0


def test_one_without_the_label_does_not_end_the_wait_for_one_that_has_it(line):
    line.come("plain")
    line.come("hall", after=30, site="a")
    fit, told = gathered(line, 1, site="a")
    assert fit == ["hall"]
    assert told[0].startswith("executor plain stands aside: it lacks labels.site=a")
    assert line.now == 30


def test_one_of_another_name_is_waited_past(line):
    line.come("a")
    line.come("edge-1", after=10)
    fit, told = gathered(line, 1, only=["edge-*"])
    assert fit == ["edge-1"]
    assert "executor a stands aside: it is not among controller.only" in told


def test_where_nobody_is_asked_for_the_end_says_why(line):
    line.come("a")
    with pytest.raises(ConfigError) as refused:
        gathered(line, 1, only=["edge-*"], wait=20.0)
    assert "cannot take part: a: it is not among controller.only" in str(refused.value)
    assert "change controller.only" in str(refused.value)
    assert line.now == 20


def test_with_too_few_left_it_ends_once_nobody_else_has_come_for_a_while(line):
    line.come("old-1")
    line.come("b")
    with pytest.raises(ConfigError, match="old-1: aeros-torch 2 is needed, it has 1") as refused:
        gathered(line, 2, judge=faulty)
    assert "fix each as its line says" in str(refused.value)
    assert 5 < line.now < 7


def test_a_broken_one_among_enough_does_not_end_the_wait_for_the_others(line):
    line.come("old-1")
    line.come("b")
    line.come("c", after=4)
    assert gathered(line, 2, judge=faulty)[0] == ["b", "c"]


def test_of_many_some_are_named(line):
    for number in range(30):
        line.come(f"old-{number:02}")
    with pytest.raises(ConfigError, match="and 20 more") as refused:
        gathered(line, 30, judge=faulty)
    assert "old-09" in str(refused.value)
    assert "old-10" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("127.0.0.1:9292", "next: aeros up --nodes 2, or on each machine: aeros executor 127"),
        ("127.0.0.1:7000", "next: aeros up --nodes 2 --port 7000, or on each machine: aeros exec"),
        ("[::1]:7000", "or on each machine: aeros executor [::1]:7000;"),
        ("192.0.2.7:7000", "next: on each machine: aeros executor 192.0.2.7:7000;"),
        ("hall.example:7000", "next: on each machine: aeros executor hall.example:7000;"),
        ("0.0.0.0:7000", f"next: on each machine: aeros executor {platform.node()}:7000;"),
        ("[::]:7000", f"next: on each machine: aeros executor {platform.node()}:7000;"),
    ],
)
def test_where_nobody_comes_the_end_says_what_to_type(line, address, said):
    line.address = address
    with pytest.raises(TaskError, match="0 of 2 executors came within 3 s") as refused:
        gathered(line, 2, wait=3.0)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("address", "invited", "said"),
    [
        ("hall.example:7000", {"ca": "c/server.pem", "keys": True},
         "on each machine: aeros executor hall.example:7000 --ca ca.pem --key NAME.key;"),
        ("127.0.0.1:9292", {"ca": "c/server.pem"},
         "next: on each machine: aeros executor 127.0.0.1:9292 --ca ca.pem;"),
        ("0.0.0.0:7000", {"insecure": True},
         f"on each machine: aeros executor {platform.node()}:7000 --insecure;"),
        ("127.0.0.1:9292", {"insecure": True}, "on each machine: aeros executor 127.0.0.1:9292;"),
        ("127.0.0.1:9292", {"stands": True}, "next: aeros down, then aeros up --nodes 2, or on"),
        ("127.0.0.1:7000", {"stands": True, "folder": Path("a")},
         "next: aeros down --folder a, then aeros up --nodes 2 --folder a --port 7000, or on"),
        ("127.0.0.1:9292", {"app": True},
         "next: on each machine: flower-supernode --superlink 127.0.0.1:9292 --insecure;"),
        ("a.example:9292", {"app": True, "ca": "c.pem", "keys": True},
         "next: on each machine: flower-supernode --superlink a.example:9292 --root-certificates"
         " ca.pem --auth-supernode-private-key NAME.key;"),
    ],
)  # fmt: skip
def test_what_to_type_goes_with_how_the_controller_was_started(line, address, invited, said):
    line.address = address
    with pytest.raises(TaskError, match="0 of 2 executors came within 3 s") as refused:
        gathered(line, 2, wait=3.0, **invited)
    assert said in str(refused.value)


def test_two_of_one_name_are_told_apart(line):
    line.come("vm")
    line.come("vm", after=2)
    with pytest.raises(TaskError, match="1 of 2 executors came"):
        gathered(line, 2, wait=5.0)
    line.come("b", after=2)
    line.now = 0.0
    _, told = gathered(line, 2)
    assert (
        "executor vm came again, in place of the one before; two at a time need two names" in told
    )
    assert "executor vm is gone" not in told

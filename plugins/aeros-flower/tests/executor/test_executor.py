"""What an executor says of itself: why it takes no part, and that a run has ended."""

import threading
import time

import numpy as np
import pytest

from aeros_core.messages import Instruction, Update
from aeros_core.parameters import Parameters
from aeros_flower.executor.executor import Executor
from aeros_flower.executor.fleet_client import FleetClient, Lost
from aeros_flower.executor.task_job import TaskJob
from aeros_flower.http.server import listen
from aeros_flower.protocol import messages, preparation
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.security.probe import check
from aeros_flower.superlink.embedded import EmbeddedSuperLink


@pytest.fixture
def said():
    return []


@pytest.fixture
def executor(tmp_path, said):
    return Executor(ExecutorInfo("edge", state=tmp_path / "state"), tell=said.append)


def test_one_that_is_refused_says_so_once_and_answers_with_its_name(executor, said):
    note = messages.pack_note("refused", {"reason": "its data are other data"})
    for _ in range(2):
        assert messages.unpack_note(executor.answer(note), "heard")["name"] == "edge"
    assert said == ["executor edge takes no part in the task: its data are other data"]
    executor.answer(note, run=2)
    assert len(said) == 2  # another run


def test_one_that_cannot_prepare_says_why_and_again_where_that_is_another_reason(executor, said):
    asked = preparation.pack_preparation("", {"trainer": {"_target_": "no.such.Trainer"}})
    why = messages.unpack_note(executor.answer(asked), "prepared")["error"]
    executor.answer(messages.pack_note("refused", {"reason": why}))  # the controller says the same
    assert len(said) == 1
    assert said[0].startswith("executor edge takes no part in the task: trainer: ")
    assert "no.such.Trainer" in said[0]
    executor.answer(messages.pack_note("refused", {"reason": "another"}))
    assert said[1:] == ["executor edge takes no part in the task: another"]


def until(done):
    ends = time.monotonic() + 60
    while not done():
        assert time.monotonic() < ends
        time.sleep(0.02)


def test_a_run_that_ends_is_not_a_controller_that_is_lost(tmp_path, said):
    link = EmbeddedSuperLink(listen("127.0.0.1", 0))
    address = link.address

    def connect():
        if not check(address, None, insecure=True):
            raise Lost("nobody answers")
        return FleetClient(address, insecure=True)

    executor = Executor(ExecutorInfo("edge", state=tmp_path), connect, said.append)
    thread = threading.Thread(target=executor.run)
    thread.start()
    try:
        until(link.executors)
        link.close()
        until(lambda: len(said) > 1)
        time.sleep(0.5)  # nothing more is said of who does not answer now
        assert said == [
            "executor edge is connected",
            "executor edge waits for the next run: the controller has ended",
        ]
        again = EmbeddedSuperLink(listen("127.0.0.1", int(address.rpartition(":")[2])))
        until(again.executors)
        assert said[2:] == ["executor edge is connected"]
    finally:
        executor.stop()
        again.close()
        thread.join(300)


def test_what_is_wrong_there_is_said_in_one_line(tmp_path, said):
    place = ExecutorInfo(
        "edge", settings=("trainer.speed=3",), state=tmp_path / "state", same_user=True
    )
    executor = Executor(place, tell=said.append)
    config = {"trainer": {"lr": 1, "model": {"_target_": "x", "hidden": [3]}}}
    asked = preparation.pack_preparation("", config)
    why = messages.unpack_note(executor.answer(asked), "prepared")["error"]
    assert why == (
        "--set trainer.speed=3: the task has no option 'trainer.speed' that an executor sets"
        " (exists: trainer.lr, trainer.model.hidden; --set KEY=VALUE with one of these, or leave it"
        " out)"
    )


def test_each_reply_says_how_long_all_was_worked_at_so_far():
    """The longest of a round is then what its executor took, however many clients it has."""

    class Nodes:
        def dispatch(self, instructions):
            self.left = list(instructions)

        def receive(self, timeout):
            time.sleep(0.05)
            told = self.left.pop(0)
            return Update(told.node, told.round, told.parameters, 1, {})

        def abandon(self):
            pass

    job = object.__new__(TaskJob)
    job._nodes = Nodes()
    parameters = Parameters.of({"w": np.zeros(1, "float32")})
    asked = [Instruction(1, f"client-{i}", parameters) for i in range(4)]
    spent = [reply.scalars["seconds"] for reply in job.follow(asked, lambda: False)]
    assert all(n * 0.05 <= took for n, took in enumerate(spent, 1))
    assert spent == sorted(spent)

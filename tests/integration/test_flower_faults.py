"""Nodes that misbehave: real processes, a real controller, and what it makes of them."""

import json
from collections import Counter

import pytest
from forked_python import python

pytest.importorskip("aeros_flower")

BAD = """
import sys, threading, time
from dataclasses import replace
from pathlib import Path
import numpy as np
from aeros_core.messages import Update
from aeros_core.parameters import Parameters
from aeros_flower.protocol import message_content, messages
from aeros_flower.executor.executor import Executor
from aeros_flower.protocol.executor_info import ExecutorInfo
from aeros_flower.executor.fleet_client import FleetClient, Lost
from aeros_flower.security.probe import check

address = sys.argv[1]


def spoilt(update, kind):
    if kind == "nan":
        vector = update.parameters.vector.copy()
        vector[-1] = np.nan
        return replace(update, parameters=Parameters(update.parameters.layout, {"float32": vector}))
    values = {name: np.asarray(value) for name, value in update.parameters.items()}
    name, value = max(values.items(), key=lambda item: item[1].size)
    if kind == "name":
        values["other"] = values.pop(name)
    elif kind == "shape":  # as many numbers, the other way round
        values[name] = np.ascontiguousarray(value.T)
        assert values[name].shape != value.shape
    else:
        values[name] = np.concatenate([value] * 10)
    return replace(update, parameters=Parameters.of(values))


class Bad(Executor):
    kind = ""

    def answer(self, content, *given):
        answer = super().answer(content, *given)
        if message_content.kind_of(answer) != "replies":
            return answer
        told = messages.unpack_instructions(content)
        replies = messages.unpack_replies(answer, told[0].parameters.layout)
        if self.kind == "late":
            time.sleep(LATE)
        elif self.kind == "twice":
            replies = [reply for reply in replies for _ in range(2)]
        elif self.kind == "other":
            replies = [replace(reply, round=reply.round + 7) for reply in replies]
        elif self.kind == "speaker":
            replies = [replace(reply, node="good") for reply in replies]
        elif self.kind in ("nan", "name", "shape", "large"):
            replies = [spoilt(r, self.kind) if isinstance(r, Update) else r for r in replies]
        return messages.pack_replies(replies)


def connect(kind):
    if not check(address, None, insecure=True):
        raise Lost("nobody answers")
    fleet = FleetClient(address, insecure=True)
    push = fleet.push
    if kind == "again":
        fleet.push = lambda *given: (push(*given), push(*given))
    return fleet


threads = []
for name, _, kind in (word.partition("=") for word in sys.argv[2:]):
    info = ExecutorInfo(name, own=True, state=Path(name))
    made = Bad(info, lambda kind=kind: connect(kind), wait=300.0)
    made.kind = kind
    threads.append(threading.Thread(target=made.run))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
""".replace("LATE", "3.3")


@pytest.fixture
def nodes(aeros, port):
    """A function that starts executors in one process: ``nodes(good="", bad="nan")``."""
    running = []

    def start(**kinds):
        told = [f"{name}={kind}" for name, kind in kinds.items()]
        command = ["-c", BAD, f"127.0.0.1:{port}", *told]
        with (aeros.folder / "nodes.log").open("w") as log:
            running.append(python(command, cwd=aeros.folder, stdout=log, stderr=log))
        return ("deployment=flower", f"controller.port={port}", f"controller.nodes={len(kinds)}",
                "controller.wait=300", "task.name=faults")  # fmt: skip

    yield start
    for process in running:
        process.kill()
        process.wait(300)


def rounds(aeros):
    [path] = aeros.folder.glob("outputs/*/*/rounds.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_what_nodes_do_wrong_is_refused_and_counted_by_node_and_reason(aeros, nodes):
    wrong, kinds = ("name", "shape", "large"), ("nan", "twice", "again", "other", "speaker")
    kinds = {kind: kind for kind in (*wrong, *kinds)}
    aeros.apart("run", *nodes(good="", **kinds), "task.deadline=120", "task.rounds=8")
    done, layout = rounds(aeros), "another layout than the global parameters"
    assert len(done) == 8
    for one in done:
        assert set(one["nodes"]) == {"good", "twice", "again"}
        assert one["refused"]["nan"] == "NaN or infinity"
        assert {one["refused"][node] for node in wrong} == {layout}
        assert one["dropped"]["nan"] == {"not finite": 1}
        assert all(one["dropped"][node] == {"layout": 1} for node in wrong)
        assert not {"again", "good"} & set(one["dropped"])
    assert of(done, "twice") == {"duplicate": 8}
    assert of(done, "other") == {"other round": 8}
    assert of(done, "speaker") == {"not its own": 8, "failed": 8}  # and nothing of its own came
    told = {one["refused"]["other"].partition(",")[0] for one in done}
    assert told == {f"a reply for round {number}" for number in range(8, 16)}
    foreign = "a reply for 'good', which it was not asked for"
    assert {one["refused"]["speaker"] for one in done} == {foreign}
    total = aeros.result()["dropped"]
    assert (total["not finite"], total["layout"]) == (8, 24)
    assert (total["duplicate"], total["other round"], total["not its own"]) == (8, 8, 8)


def of(done, node):
    """Return how often something of a node was refused, by kind."""
    return sum((Counter(one["dropped"].get(node, {})) for one in done), Counter())


@pytest.mark.soak  # who is late is late by less than a second of a free machine
def test_what_comes_after_its_round_is_dropped(aeros, nodes):
    aeros.apart("run", *nodes(good="", slow="late"), "task.deadline=3", "task.rounds=40")
    done = rounds(aeros)
    assert all(set(one["nodes"]) == {"good"} for one in done)
    assert set(of(done, "slow")) == {"no reply", "late"}


@pytest.mark.soak
def test_a_late_update_is_used_where_the_task_says_so(aeros, nodes):
    aeros.apart("run", *nodes(good="", slow="late"), "task.late=use",
          "task.deadline=3", "task.rounds=40")  # fmt: skip
    done = rounds(aeros)
    assert all("good" in one["nodes"] for one in done)
    assert "slow" in done[0]["refused"]
    assert any("slow" in one["nodes"] for one in done[1:])  # where late ones are dropped: never


def test_an_executor_gives_up_where_nobody_listens(aeros, port):
    err = aeros.apart("executor", f"127.0.0.1:{port}", "--name", "edge", "--wait", "1", code=1)
    assert "executor edge found no controller for 1 s (nobody answers at 127.0.0.1" in err
    assert "--wait SECONDS" in err
    assert "Traceback" not in err


def test_data_that_are_missing_on_one_node_are_named_before_the_first_round(aeros, port):
    rows = [f"{i % 7},{i % 5},{'ab'[i % 2]}" for i in range(60)]
    (aeros.folder / "here.csv").write_text("\n".join(["x,y,kind", *rows]) + "\n")
    log = aeros.folder / "edge.log"
    words = ("executor", f"127.0.0.1:{port}", "--name", "edge", "--own",
             "--set", "transformer.table.path=nowhere.csv")  # fmt: skip
    process = aeros.start(*words, log=log)
    try:
        err = aeros.apart(
            "run", "deployment=flower", f"controller.port={port}", "controller.wait=200",
            "transformer=[table,stack,iid,standardise]", "transformer.table.path=here.csv",
            "transformer.table.label=kind", code=2,
        )  # fmt: skip
    finally:
        process.kill()
        process.wait(300)
    assert "executors cannot take part: edge: " in err
    assert "the site's data cannot be used" in err or "option of the task" in err
    assert "nowhere.csv" not in err  # a path of the site's: it is said there
    assert "nowhere.csv" in log.read_text()
    assert "fix each as its line says" in err
    assert "Traceback" not in err

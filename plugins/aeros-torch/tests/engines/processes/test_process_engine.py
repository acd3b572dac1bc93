"""Worker processes against the sequential engine: the same bits, whatever happens to them."""

import gc
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from aeros_core.errors import ConfigError
from aeros_core.messages import Failure, Instruction
from aeros_core.tasks import waiting
from aeros_core.tasks.control import Cancelled, Control
from aeros_torch.engines.processes import pool
from aeros_torch.engines.processes.channel import Channel
from aeros_torch.engines.processes.engine import ProcessEngine, devices, workers
from aeros_torch.engines.processes.worker_handle import WorkerHandle
from aeros_torch.engines.selection import ENGINES
from aeros_torch.modules import models

BRITTLE = '''
import os, signal, time
import torch
from torch import nn
from aeros_core.errors import ConfigError


class Brittle(nn.Module):
    """BatchNorm, dropout, a frozen tensor, buffers of several dtypes; data that kill it."""

    def __init__(self, *, inputs, outputs, delay=0.0):
        super().__init__()
        self.delay = delay
        self.first = nn.Linear(inputs[0], 6)
        self.frozen = nn.Parameter(torch.ones(3), requires_grad=False)
        self.norm = nn.BatchNorm1d(6)
        self.register_buffer("seen", torch.zeros((), dtype=torch.float64))
        self.drop, self.second = nn.Dropout(0.3), nn.Linear(6, outputs)

    def forward(self, x):
        if self.training:
            time.sleep(self.delay)
            self.seen += 1.5
            self.suffer(float(x.max()))
        return self.second(self.drop(torch.relu(self.norm(self.first(x)))))

    def suffer(self, highest):
        if highest == 666 and str(os.getpid()) != os.environ["AEROS_TEST_TRAINER"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if highest == 555 and str(os.getpid()) != os.environ["AEROS_TEST_TRAINER"]:
            time.sleep(600)
        if highest == 777:
            raise RuntimeError("this one cannot be borne")
        if highest == 888:
            raise ConfigError("nobody can do this", hint="do not")
'''

SIZES = [40, 2, 17, 90, 33, 8, 8, 61]


@pytest.fixture(scope="module")
def brittle(tmp_path_factory):
    """A model of a module that other processes find."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "aeros_brittle.py").write_text(BRITTLE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("AEROS_TEST_TRAINER", str(os.getpid()))
        import aeros_brittle

        yield aeros_brittle.Brittle


@pytest.fixture(scope="module")
def crews():
    """Engines that were made before, by how: starting processes is what takes time here."""
    return {}


@pytest.fixture
def engine(brittle, trainer, data, crews):
    """Make an engine whose processes are there; one process takes its time."""

    def make(count):
        if count not in crews:
            model = partial(brittle, delay=0.004) if count == 1 else brittle
            made = trainer(model, batch_size=8, workers=count)
            crews[count] = workers(made.context(data().schema))
        found = crews[count]
        found.crew.start(count)
        until(lambda: found.crew.work(0.05) or found.crew.ready == count)
        return found

    return make


def until(met, seconds=300.0):
    ends = time.monotonic() + seconds
    while not met():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.01)


@pytest.fixture
def cohort(brittle, trainer, data):
    """Return clients of several sizes, and what sequential training makes of them."""
    table = data(sum(SIZES))
    made = trainer(brittle, engine="sequential", batch_size=8)
    start = made.initialise(table.schema, 3)
    drift = np.linspace(-1, 1, 69, dtype=np.float32)
    ends = np.cumsum(SIZES)
    members = [
        table.take(np.arange(end - size, end)) for end, size in zip(ends, SIZES, strict=True)
    ]
    sent = [
        Instruction(
            round=1,
            node=f"client-{i}",
            parameters=start,
            seed=i,
            scalars={"proximal_mu": 0.1 * (i % 2)},
            vectors={"drift": drift * i} if i % 3 == 0 else {},
        )
        for i in range(len(SIZES))
    ]
    return sent, members, list(made.train_cohort(sent, members))


def rates(members):
    return [0.01] * len(members)


def same(replies, expected):
    assert [reply.node for reply in replies] == [reply.node for reply in expected]
    for reply, other in zip(replies, expected, strict=True):
        assert reply.parameters.digest == other.parameters.digest
        assert (reply.metrics, reply.scalars) == (other.metrics, other.scalars)
        assert (reply.round, reply.examples) == (other.round, other.examples)


@pytest.mark.parametrize("count", [1, 2])
def test_the_same_bits_as_sequential_in_the_same_order(engine, cohort, count):
    sent, members, expected = cohort
    assert set(expected[0].parameters.vectors) == {"float32", "float64", "int64"}
    same(list(engine(count).train(sent, members, rates(members))), expected)


def test_what_took_longest_goes_out_first(engine, cohort, monkeypatch):
    """Not who has most examples: with ``trainer.steps`` they tell nothing."""
    sent, members, expected = cohort
    found, order, give = engine(1), [], WorkerHandle.give
    found._shop.pace.__init__()

    def noted(hand, ticket, job, table):
        order.append(job.instruction.node)
        give(hand, ticket, job, table)

    monkeypatch.setattr(WorkerHandle, "give", noted)
    chosen = [1, 3, 4]  # of 2, 90 and 33 examples
    few = [sent[i] for i in chosen], [members[i] for i in chosen]
    same(list(found.train(*few, rates(chosen))), [expected[i] for i in chosen])
    assert order == ["client-3", "client-4", "client-1"]
    assert found._shop.pace.clients == 3
    assert found._shop.pace.seconds > 0.004 * (12 + 5 + 1)
    order.clear()
    found._shop.pace.note("client-1", 2, 1000.0)
    list(found.train(*few, rates(chosen)))
    assert order == ["client-1", "client-3", "client-4"]


def test_updates_have_vectors_of_their_own(engine, cohort):
    sent, members, expected = cohort
    made = engine(2)
    first = list(made.train(sent, members, rates(members)))
    list(made.train(sent[::-1], members[::-1], rates(members)))
    same(first, expected)


def test_clients_are_trained_here_while_processes_start(brittle, trainer, cohort):
    sent, members, expected = cohort
    made = trainer(brittle, engine="workers", batch_size=8, workers=1)
    made.initialise(members[0].schema, 0)
    training = made.train_cohort(sent, members)
    same([next(training)], expected[:1])
    crew = made._made.pick(2).crew
    assert len(crew.processes) == 1
    assert not crew.ready
    training.close()
    crew.stop()
    assert crew.processes == []


def test_one_client_starts_no_process(brittle, trainer, cohort):
    sent, members, expected = cohort
    made = trainer(brittle, engine="workers", batch_size=8)
    assert made.train(sent[0], members[0]).parameters.digest == expected[0].parameters.digest
    assert made._made.pick(1).crew.processes == []


def test_each_client_may_start_from_parameters_and_a_table_of_its_own(
    engine, cohort, trainer, data
):
    sent, members, _ = cohort
    made = engine(2)
    other = data(50, values=None)
    mixed = [members[0], other, members[1], other]
    own = [Instruction(2, s.node, s.parameters.copy(), seed=i) for i, s in enumerate(sent[:4])]
    own[2].parameters.vector[:5] = 0.5
    here = [next(made._here.train([s], [some], [0.01])) for s, some in zip(own, mixed, strict=True)]
    same(list(made.train(own, mixed, rates(own))), here)


def test_a_worker_killed_in_a_round_loses_nothing(engine, cohort):
    sent, members, expected = cohort
    made = engine(1)
    (before,) = made.crew.processes
    training = made.train(sent, members, rates(members))
    first = next(training)
    assert [len(hand.jobs) for hand in made.crew._hands.values()] == [2]
    os.kill(before, signal.SIGKILL)
    same([first, *training], expected)
    (after,) = made.crew.processes
    assert after != before


def test_a_client_that_kills_two_workers_fails_alone(engine, cohort, data):
    sent, members, expected = cohort
    made = engine(2)
    deadly = data(9)
    deadly.columns["x"][3] = 666
    replies = list(made.train(sent, [*members[:2], deadly, *members[3:]], rates(members)))
    failed = replies.pop(2)
    assert failed == Failure("client-2", 1, "2 worker processes died training it: SIGKILL")
    same(replies, [reply for reply in expected if reply.node != "client-2"])


def test_a_client_that_takes_too_long_fails_alone(engine, cohort, data):
    sent, members, expected = cohort
    endless = data(9)
    endless.columns["x"][3] = 555
    hurried = [replace(one, deadline=2.5) for one in sent]
    replies = list(engine(2).train(hurried, [*members[:2], endless, *members[3:]], rates(members)))
    why = "no reply within the 2.5 s that a node may take"
    assert replies.pop(2) == Failure("client-2", 1, why)
    same(replies, [reply for reply in expected if reply.node != "client-2"])


def test_a_worker_that_stands_still_is_given_up_without_a_deadline(engine, cohort, monkeypatch):
    sent, members, expected = cohort
    made = engine(1)
    (before,) = made.crew.processes
    monkeypatch.setattr("aeros_torch.engines.processes.pool._STILL", 3.0)
    training = made.train(sent, members, rates(members))
    first = next(training)
    os.kill(before, signal.SIGSTOP)
    same([first, *training], expected)
    (after,) = made.crew.processes
    assert after != before


def test_a_wait_for_workers_is_told_and_hears_a_cancellation(
    engine, cohort, data, monkeypatch, caplog
):
    sent, members, expected = cohort
    made, control = engine(1), Control()
    endless = data(9)
    endless.columns["x"][3] = 555
    monkeypatch.setattr(made.crew, "_minute", waiting.Reminder(pool._log.warning, first=0.5))
    asked = iter(range(10**6))

    def check():
        if next(asked) >= 3:
            control.cancel()
        control.check()

    with waiting.hearing(check), pytest.raises(Cancelled):
        list(made.train(sent[:1], [endless], rates(sent[:1])))
    (stuck,) = made.crew.processes
    assert f"waits for the training of client-0 (process {stuck})" in caplog.text
    os.kill(stuck, signal.SIGKILL)
    same(list(made.train(sent, members, rates(members))), expected)


def test_what_a_worker_does_not_read_is_not_waited_for_without_end():
    wire, there = Channel.pair()
    wire.limit(0.2)
    with there, pytest.raises(TimeoutError):
        wire.send({}, bytes(2**24))
    wire.close()


def test_a_message_that_is_cut_in_two_is_not_waited_for_without_end():
    wire, there = Channel.pair()
    wire.limit(0.2)
    with there:
        there.sendall(b"\0\0")
        with pytest.raises(TimeoutError):
            wire.receive()
    wire.close()


def test_an_error_is_that_clients_own(engine, cohort, data):
    sent, members, expected = cohort
    unbearable = data(9)
    unbearable.columns["x"][3] = 777
    replies = list(engine(2).train(sent, [*members[:7], unbearable], rates(members)))
    assert replies[7] == Failure("client-7", 1, "RuntimeError: this one cannot be borne")
    same(replies[:7], expected[:7])


def test_an_error_of_the_configuration_is_everybodys(engine, cohort, data):
    sent, members, _ = cohort
    refused = data(9)
    refused.columns["x"][3] = 888
    with pytest.raises(ConfigError, match="nobody can do this") as raised:
        list(engine(2).train(sent, [refused, *members[1:]], rates(members)))
    assert raised.value.hint == "do not"


def test_parameters_and_drifts_of_another_model_are_refused(engine, cohort, trainer, data):
    sent, members, _ = cohort
    other = trainer().initialise(data().schema, 0)
    with pytest.raises(ConfigError, match="the parameters are of another model"):
        list(engine(2).train([Instruction(1, "n", other)] * 2, members[:2], [0.1, 0.1]))
    short = Instruction(1, "n", sent[0].parameters, vectors={"drift": np.zeros(3, np.float32)})
    with pytest.raises(ConfigError, match=r"the vector 'drift' has shape \(3,\)"):
        list(engine(2).train([short] * 2, members[:2], [0.1, 0.1]))


def test_a_cohort_that_is_left_does_not_disturb_the_next(engine, cohort):
    sent, members, expected = cohort
    made = engine(2)
    left = made.train(sent[::-1], members[::-1], rates(members))
    next(left)
    left.close()
    same(list(made.train(sent, members, rates(members))), expected)


def test_few_are_begun_ahead_of_whoever_takes_them(engine, cohort, monkeypatch):
    sent, members, expected = cohort
    monkeypatch.setattr("aeros_torch.engines.processes.engine._ROOM", 0)
    begun = []

    class Counted(list):
        def __iter__(self):
            return (begun.append(entry) or entry for entry in super().__iter__())

    replies = engine(1).train(Counted(sent), members, rates(members))
    for taken, update in enumerate(replies):
        assert update.node == expected[taken].node
        assert len(begun) <= taken + 3


def test_two_cohorts_at_a_time(engine, cohort):
    sent, members, expected = cohort
    made = engine(2)
    one = made.train(sent, members, rates(members))
    two = made.train(sent, members, rates(members))
    pairs = list(zip(one, two, strict=True))
    same([a for a, _ in pairs], expected)
    same([b for _, b in pairs], expected)


def test_ctrl_c_ends_the_processes_and_the_next_cohort_starts_others(engine, cohort):
    sent, members, expected = cohort
    made = engine(1)
    before = made.crew.processes
    training = made.train(sent, members, rates(members))
    next(training)
    with pytest.raises(KeyboardInterrupt):
        training.throw(KeyboardInterrupt)
    assert made.crew.processes == []
    assert not alive(before[0])
    same(list(made.train(sent, members, rates(members))), expected)


def test_a_process_that_cannot_build_the_model_is_done_without(trainer, data, small, caplog):
    table = data(20)
    cls = type("Hidden", (small,), {"__module__": "aeros_of_nowhere"})
    made = workers(trainer(partial(cls, dropout=0.1), batch_size=8).context(table.schema))
    assert isinstance(made, ProcessEngine)
    start = trainer(partial(cls, dropout=0.1)).initialise(table.schema, 0)
    sent = [Instruction(1, f"n{i}", start, seed=i) for i in range(3)]
    made.crew.start(1)
    until(lambda: made.crew.work(0.05) or made.crew.broken)
    assert made.crew.processes == []
    replies = list(made.train(sent, [table] * 3, [0.1] * 3))
    same(replies, list(made._here.train(sent, [table] * 3, [0.1] * 3)))
    said = [r.getMessage() for r in caplog.records if r.levelname == "WARNING"]
    assert len(said) == 1
    assert "clients are trained in one process" in said[0]
    assert "No module named 'aeros_of_nowhere'" in said[0]


def test_auto_takes_processes_once_they_pay(trainer, data):
    model = partial(models.Mlp, hidden=[5], activation="relu", dropout=0.5)
    context = trainer(model).context(data().schema)
    pays = next(way.pays for way in ENGINES if way.engine.name == "workers")
    assert not pays(context, 10)
    context.pace.clients, context.pace.seconds = 100, 5.0
    assert pays(context, 10) is (len(os.sched_getaffinity(0)) > 1)
    assert not pays(context, 1)
    context.pace.clients = 100_000
    assert not pays(context, 10)


@pytest.mark.parametrize(
    ("asked", "count", "expected"),
    [
        ("auto", 0, ["cuda:0", "cuda:1"] * 2),
        ("cuda", 3, ["cuda:0", "cuda:1"] * 3),
        ("cuda:1", 0, ["cuda:1"] * 2),
        ("cpu", 3, ["cpu"] * 3),
    ],
)
def test_processes_take_turns_on_gpus(monkeypatch, asked, count, expected):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    device = torch.device("cuda:0" if asked in ("auto", "cuda") else asked)
    network = SimpleNamespace(device=device)
    context = SimpleNamespace(network=network, workers=count, options={"device": asked})
    assert devices(context) == expected


SCRIPT = """
import os, signal
from dataclasses import fields
from functools import partial
import numpy as np
from aeros_core.data import Dataset
from aeros_core.messages import Instruction
from aeros_core.schema import Field, Schema
from aeros_torch import config
from aeros_torch.modules import models
from aeros_torch.trainer import TorchTrainer

made = config.TorchTrainer(engine="workers", workers=1)
options = {f.name: getattr(made, f.name) for f in fields(made)}
options = {k: v for k, v in options.items() if k not in ("_target_", "defaults", "model")}
model = partial(models.Mlp, hidden=[5], activation="relu", dropout=0.5)
trainer = TorchTrainer(model=model, **options)
schema = Schema((Field("x", "float32", (4,)), Field("y", "int64", categories=("a", "b"))), "y")
rng = np.random.default_rng(0)
data = Dataset(schema, {"x": rng.random((9, 4), np.float32), "y": rng.integers(0, 2, 9)})
start = trainer.initialise(schema, 0)
sent = [Instruction(1, str(i), start, seed=i) for i in range(4)]
list(trainer.train_cohort(sent, [data] * 4))
crew = trainer._made.pick(2).crew
while not crew.ready:
    crew.work()
assert len(list(trainer.train_cohort(sent, [data] * 4))) == 4
print(*crew.processes, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_plain_script_has_workers_and_killed_leaves_none(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=False, timeout=300
    )
    assert (done.returncode, done.stderr) == (-signal.SIGKILL, "")
    (process,) = map(int, done.stdout.split())
    until(lambda: not alive(process), 10)


def test_an_engine_takes_its_processes_along(engine, crews):
    processes = engine(2).crew.processes
    assert all(map(alive, processes))
    del crews[2]
    gc.collect()
    assert not any(map(alive, processes))


def alive(process):
    """Tell whether a process is there; one that only waits to be counted is not."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"

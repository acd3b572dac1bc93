"""Graphs that several threads ask at the same time."""

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fakes import Away, Linear, graph, model, rows

from aeros_core.roles.inferencer import SupportsConcurrency
from aeros_graphs.ensemble import EnsembleInferencer
from aeros_graphs.sequence import SequenceInferencer
from aeros_graphs.splitter import SplitterInferencer
from aeros_graphs.switch import SwitchInferencer

THREADS = 8

SWITCH = {
    "order": ["a", "b"], "threshold": 0.75, "onward": "request", "field": None, "cases": {},
    "otherwise": None, "fallback": False,
}  # fmt: skip

KINDS = {
    "ensemble": (EnsembleInferencer, {"combine": "mean", "parallel": False}),
    "parallel": (EnsembleInferencer, {"combine": "mean", "parallel": True}),
    "switch": (SwitchInferencer, SWITCH),
    "splitter": (SplitterInferencer, {"seed": 0, "by": []}),
}


class Counting(Linear):
    """Keeps how many threads asked at once."""

    def __init__(self, gain=1.0, concurrency=None):
        super().__init__(gain)
        self.most = self._there = 0
        self._lock = threading.Lock()
        if concurrency:
            self.concurrency = concurrency

    def predict(self, batch):
        with self._lock:
            self._there += 1
            self.most = max(self.most, self._there)
        time.sleep(0.002)
        answer = super().predict(batch)
        with self._lock:
            self._there -= 1
        return answer


def asked(made, count=40):
    """Ask with as many threads; return what was asked, and the answers."""
    batches = [rows(1 + number % 7) for number in range(count)]
    with ThreadPoolExecutor(THREADS) as threads:
        return batches, list(threads.map(made.predict, batches))


@pytest.mark.parametrize(("kind", "options"), KINDS.values(), ids=KINDS)
def test_answers_do_not_mix_and_members_are_asked_as_they_support(kind, options):
    local, remote = Counting(), Counting(3.0, concurrency=4)
    made = graph(kind, {"a": local, "b": remote}, **options)
    made.load(model())
    assert isinstance(made, SupportsConcurrency)
    assert made.concurrency == 4
    batches, answers = asked(made)
    assert (local.most, remote.most <= 4) == (1, True)
    for batch, answer in zip(batches, answers, strict=True):
        expected = made.predict(batch)
        for name in expected:
            np.testing.assert_array_equal(answer[name], expected[name])
    counted = {(c.name, c.labels["member"]): c.value for c in made.counts()}
    assert counted["aeros_member_requests_total", "a"] == len(local.asked)
    assert counted["aeros_member_rows_total", "b"] == sum(remote.asked)


def test_stages_of_a_sequence_work_at_the_same_time():
    """While one batch is at the second stage, the next is at the first."""

    class Stage(Counting):
        def predict(self, batch):
            super().predict(batch)
            return batch

    stages = {"a": Stage(), "b": Stage(concurrency=THREADS)}
    both, together = threading.Barrier(2), []
    plain = stages["b"].predict

    def second(batch):
        if not together:
            together.append(batch)
            both.wait(20)
        return plain(batch)

    def first(batch):
        if len(stages["a"].asked) == 1:
            both.wait(20)
        return Stage.predict(stages["a"], batch)

    stages["a"].predict, stages["b"].predict = first, second
    made = graph(SequenceInferencer, stages, order=["a", "b"])
    made.load(model())
    asked(made, 8)
    assert together
    assert stages["a"].most == 1


def test_a_graph_of_local_members_is_asked_by_one_thread():
    made = graph(SplitterInferencer, {"a": Linear(), "b": Linear()}, seed=0, by=[])
    assert made.concurrency == 1
    made.load(model())
    assert made.concurrency == 1


def test_a_graph_within_a_graph_passes_on_what_it_supports():
    inner = graph(SequenceInferencer, {"a": Counting(concurrency=5)}, order=["a"])
    outer = graph(SplitterInferencer, {"in": inner, "b": Linear()}, seed=0, by=[])
    outer.load(model())
    assert outer.concurrency == 5


def test_rows_that_fell_back_are_all_told(caplog):
    """Whatever the threads, the first is told at once and the others are summed up."""
    away = Away()
    away.concurrency = THREADS
    made = graph(SwitchInferencer, {"a": Counting(0.0), "b": away}, **SWITCH | {"fallback": True})
    made.load(model())
    with caplog.at_level(logging.WARNING):
        batches, _ = asked(made)
    (line,) = [record.getMessage() for record in caplog.records]
    first = int(line.rpartition(": ")[2].split()[0])
    assert first + made._unsure == sum(len(batch["x"]) for batch in batches)

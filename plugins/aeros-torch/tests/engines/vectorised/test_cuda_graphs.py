"""Graphs with CUDA replaced by something that records, and with a device where there is one."""

from contextlib import contextmanager

import pytest
import torch

from aeros_torch.engines.vectorised.cuda_graphs import CudaGraphs

CPU = torch.device("cpu")


class Recorder:
    """Stands in for ``torch.cuda``: what is called while capturing is called upon replay."""

    def __init__(self, monkeypatch, works=True):
        self.works, self.capturing, self.replays = works, None, 0
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: None)
        monkeypatch.setattr(torch.cuda, "CUDAGraph", self.graph)
        monkeypatch.setattr(torch.cuda, "graph", self.capture)

    def graph(self):
        recorder = self

        class Graph:
            calls = ()

            def replay(self):
                recorder.replays += 1
                for call, tensors in self.calls:
                    call(*tensors)

        return Graph()

    @contextmanager
    def capture(self, graph, stream):
        if not self.works:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.capturing = []
        yield
        graph.calls, self.capturing = self.capturing, None

    def step(self, sums):
        """Return a step that adds what it is given to ``sums``."""

        def add(*tensors):
            sums.add_(sum(tensor.sum() for tensor in tensors))

        def take(*tensors):
            if self.capturing is None:
                add(*tensors)
            else:
                self.capturing.append((add, tensors))

        return take


def test_replays_what_it_captured_with_the_inputs_of_the_day(monkeypatch):
    recorder, sums = Recorder(monkeypatch), torch.zeros(())
    graphs = CudaGraphs(recorder.step(sums), CPU)
    for number in range(8):
        graphs(torch.full((2,), float(number)))
    assert sums == 2 * sum(range(8))
    assert recorder.replays == 5


def test_each_shape_has_its_own(monkeypatch):
    recorder, sums = Recorder(monkeypatch), torch.zeros(())
    graphs = CudaGraphs(recorder.step(sums), CPU)
    for _ in range(6):
        graphs(torch.ones(2))
        graphs(torch.ones(2), torch.ones(3))
    assert sums == 6 * 7
    assert recorder.replays == 6


def test_goes_on_without_where_a_capture_fails(monkeypatch, caplog):
    caplog.set_level("INFO", "aeros_torch")
    recorder, sums = Recorder(monkeypatch, works=False), torch.zeros(())
    graphs = CudaGraphs(recorder.step(sums), CPU)
    for _ in range(8):
        graphs(torch.ones(2))
    assert sums == 16
    assert recorder.replays == 0
    assert [record.getMessage() for record in caplog.records] == [
        "steps are not captured as a CUDA graph: operation not permitted when stream is capturing"
    ]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_device_replays_too():
    device = torch.device("cuda", torch.cuda.current_device())
    sums = torch.zeros((), device=device)
    graphs = CudaGraphs(lambda x: sums.add_(x.sum()), device)
    with graphs.stream():
        for number in range(8):
            graphs(torch.full((2,), float(number), device=device))
    assert sums.item() == 2 * sum(range(8))
    assert len(graphs._captured) == 1

"""From training to answers: promoted, exported, in 8 bits, in two stages, moved under load."""

import json
import threading
import time

import numpy as np
import pytest

triton = pytest.importorskip("tritonclient.http")

from tritonclient.utils import InferenceServerException  # noqa: E402

ROWS = 500


def asked(batch):
    """Return the inputs of a request for some rows."""
    made = []
    for name, column in batch.items():
        one = triton.InferInput(name, list(column.shape), "FP32")
        made.append(one.set_data_from_numpy(column.astype(np.float32)))
    return made


def accuracy(server, model, batch, target):
    """Return the accuracy of a server over a test split, some rows at a time."""
    truth, found = batch[target], []
    with triton.InferenceServerClient(server.http, network_timeout=120) as client:
        for start in range(0, len(truth), ROWS):
            part = {k: v[start : start + ROWS] for k, v in batch.items() if k != target}
            found.append(client.infer(model, asked(part)).as_numpy("label"))
    return float(np.mean(np.concatenate(found) == truth))


class Clients:
    """Clients that ask for rows of the test split until they are told to end."""

    def __init__(self, server, model, batch, target, count=3):
        self._server, self._model, self._batch, self._target = server, model, batch, target
        self.versions, self.wrong, self._ended = [], [], threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(count)]
        for thread in self._threads:
            thread.start()

    def _ask(self, row):
        inputs = asked({k: v[row : row + 1] for k, v in self._batch.items() if k != self._target})
        with triton.InferenceServerClient(self._server.http, network_timeout=120) as client:
            while not self._ended.is_set():
                try:
                    answer = client.infer(self._model, inputs)
                    self.versions.append(answer.get_response()["model_version"])
                except InferenceServerException as error:
                    self.wrong.append(error)

    def wait_for(self, version):
        end = time.monotonic() + 120
        while self.versions[-1:] != [version]:
            assert time.monotonic() < end
            assert not self.wrong
            time.sleep(0.02)

    def end(self):
        self._ended.set()
        for thread in self._threads:
            thread.join(timeout=120)
        assert not any(thread.is_alive() for thread in self._threads)


def proved(aeros, serve, raw_test, name, layer, words, rounds):
    """Train twice, and hold every way of answering against what training reported."""
    reported = []
    for count in rounds:
        aeros("run", *words, f"task.rounds={count}")
        reported.append(aeros.result()["metrics"]["accuracy"])
    aeros("models", "tag", f"{name}:1", "production")
    exported = aeros("models", "export", f"{name}:production", f"{name}.onnx")
    assert exported.startswith(f"{name}.onnx holds {name}:production")
    aeros("models", "split", f"{name}:2", "--at", layer)
    whole, stages = (json.loads(aeros("models", "show", each, "--json"))
                     for each in (f"{name}:2", f"{name}.stage2"))  # fmt: skip
    assert stages["parents"] == [whole["digest"]]

    batch = raw_test(*words)
    second = serve(f"model={name}.stage2", "inferencer=onnx")
    first = serve(
        f"model={name}.stage1", "inferencer=sequence", "inferencer.order=[here,there]",
        "+inferencer.members.here={}", "+inferencer@inferencer.members.there.inferencer=remote",
        f"inferencer.members.there.inferencer.url=http://{second.http}",
        f"inferencer.members.there.inferencer.model={name}.stage2",
    )  # fmt: skip
    assert accuracy(first, f"{name}.stage1", batch, "label") == pytest.approx(reported[1])
    for server in (first, second):
        code, said = server.end()
        assert code == 0, said

    eight = serve(
        f"model={name}:production", "inferencer=onnx", "inferencer.quantise=int8",
        "serving.poll=0.1",
    )  # fmt: skip
    assert accuracy(eight, name, batch, "label") == pytest.approx(reported[0], abs=0.005)
    clients = Clients(eight, name, batch, "label")
    try:
        clients.wait_for("1")
        for version in ("2", "1", "2"):
            aeros("models", "tag", f"{name}:{version}", "production")
            clients.wait_for(version)
        under_load = accuracy(eight, name, batch, "label")
    finally:
        clients.end()
    assert clients.wrong == []
    assert under_load == pytest.approx(reported[1], abs=0.005)
    code, said = eight.end()
    assert code == 0, said


def test_what_training_reported_is_what_is_served(aeros, serve, raw_test):
    proved(aeros, serve, raw_test, "digits", "layers.1", ["experiment=digits"], (20, 30))


@pytest.mark.soak
def test_what_training_reported_of_mnist_is_what_is_served(aeros, serve, raw_test, real_data):
    words = ["experiment=mnist", f"transformer.mnist.path={real_data / 'mnist'}"]
    proved(aeros, serve, raw_test, "mnist", "convolutions.5", words, (15, 30))

"""Workers of a server map one copy of a model's weights, which is gone when it is unloaded."""

import json
import os
import re
import signal
import time
import urllib.request
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

SMALL, MIDDLE, LARGE = [4], [1200, 1200], [3600, 3600]
"""Widths of hidden layers; the weights of the large model take 63 MB, of the middle one 9 MB."""

SWAPS = 24


@pytest.fixture
def stored(aeros):
    """The models small and large in the repository; return the MB of the large one's weights."""
    from aeros_core.config import build, store
    from aeros_core.parameters import Parameters
    from aeros_core.plugins import discovery
    from aeros_core.records import Model
    from aeros_core.schema import Field, Schema

    registry = discovery.discover()
    words = [f"repository.path={aeros.folder / 'aeros-repository'}", "repository.compression=none"]
    node = store.plain(store.load(words, registry, root="models"))["repository"]
    repository = build.build_part(registry, "repository", node)
    schema = Schema((Field("x", "float32", (784,)), Field("y", "float32")), "y")
    widths = (("small", SMALL), ("middle", MIDDLE), ("middle", MIDDLE), ("large", LARGE))
    for name, hidden in widths:
        module = store.plain(store.structured(registry.options["trainer/model", "mlp"].config))
        sizes, tensors = [784, *hidden, 1], {}
        for layer, (inner, outer) in enumerate(pairwise(sizes)):
            tensors[f"layers.{2 * layer}.weight"] = np.full((outer, inner), 1 / inner, np.float32)
            tensors[f"layers.{2 * layer}.bias"] = np.zeros(outer, np.float32)
        parameters = Parameters.of(tensors)
        repository.publish(
            Model(name, parameters, schema, module | {"hidden": hidden}, inputs=schema)
        )
    return parameters.nbytes / 2**20


def workers(server):
    found = Path(f"/proc/{server.process.pid}/task").glob("*/children")
    return sorted(int(pid) for path in found for pid in path.read_text().split())


def ask(server, path, body):
    with urllib.request.urlopen(f"http://{server.http}{path}", json.dumps(body).encode(), 60) as a:
        return json.loads(a.read() or b"{}")


def predict(server, times=12):
    """Have every worker predict, most likely: each connection goes to one of them."""
    row = {"name": "x", "datatype": "FP32", "shape": [1, 784], "data": [1.0] * 784}
    for _ in range(times):
        answer = ask(server, "/v2/models/large/infer", {"inputs": [row]})
        assert answer["outputs"][0]["data"] == pytest.approx([1.0], rel=1e-3)


def memory(pids):
    """Return the MB that processes hold, what they share counted once (PSS)."""
    found = (Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids)
    return sum(int(re.search(r"^Pss: +(\d+)", each, re.M)[1]) for each in found) / 2**10


def mapped(pid):
    """Return the MB of models that a process has mapped, and its part of what is there once."""
    text = Path(f"/proc/{pid}/smaps").read_text()
    areas = re.findall(r"memfd:aeros-model.*?\nRss: +(\d+) kB\nPss: +(\d+) kB", text, re.S)
    return [sum(int(area[n]) for area in areas) / 2**10 for n in (0, 1)]


def files(pid):
    """Return how many files of models a process has open."""
    links = list(Path(f"/proc/{pid}/fd").iterdir())
    return sum("aeros-model" in str(link.readlink()) for link in links if link.is_symlink())


def maps(pid):
    """Return how many files of models a process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text().count("memfd:aeros-model")


def until(what, seconds=120.0):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)


def is_once(server, size):
    """Tell whether both workers map all of the large model, and it is in memory once."""
    whole, parts = zip(*map(mapped, workers(server)), strict=True)
    return len(whole) == 2 and min(whole) > 0.9 * size and 0.9 * size < sum(parts) < 1.2 * size


def test_two_workers_hold_one_copy_of_the_weights(stored, serve):
    server = serve("model=small", "serving.workers=2", "serving.poll=0")
    before = memory([server.process.pid, *workers(server)])
    ask(server, "/v2/repository/models/large/load", {})
    predict(server)
    assert is_once(server, stored)
    grown = memory([server.process.pid, *workers(server)]) - before
    assert 0.9 * stored < grown < 1.5 * stored  # two copies are more than twice as much
    assert files(server.process.pid) == 2

    killed = workers(server)[0]
    os.kill(killed, signal.SIGKILL)
    until(lambda: len(workers(server)) == 2 and killed not in workers(server))
    until(lambda: min(mapped(pid)[0] for pid in workers(server)) > 0)
    until(lambda: is_once(server, stored))
    predict(server)

    ask(server, "/v2/repository/models/large/unload", {})
    until(lambda: max(mapped(pid)[0] for pid in workers(server)) < 1)
    assert files(server.process.pid) == 1
    assert max(files(pid) for pid in workers(server)) <= 1
    assert "not shared" not in server.said


def test_swaps_leave_no_weights_behind(stored, serve):
    server = serve("model=middle:1", "serving.workers=2", "serving.poll=0")
    there = [server.process.pid, *workers(server)]

    def swap(version):
        body = {"parameters": {"version": str(version)}}
        ask(server, "/v2/repository/models/middle/load", body)

    def held():
        """Return the files of models that each process has open, and the maps of workers."""
        return [files(pid) for pid in there], [maps(pid) for pid in there]

    once = [1, 1, 1], [0, 1, 1]  # a map keeps a file of its own open
    for number in range(6):  # allocators of torch and of Python take what they keep
        swap(2 - number % 2)
    until(lambda: held() == once)
    before = memory(there)
    for number in range(SWAPS):
        swap(2 - number % 2)
    until(lambda: held() == once)
    assert [server.process.pid, *workers(server)] == there
    assert memory(there) - before < 40  # one version that stays each time is 216 MB

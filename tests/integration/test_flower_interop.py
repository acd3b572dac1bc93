"""aeros beside plain Flower: its nodes, its ServerApps, other people's ClientApps, its engine."""

import contextlib
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("flwr")
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg
from flwr.supercore.task_identity import TaskIdentity
from process_tree import descendants

from aeros_core import seeding
from aeros_flower import client_app
from aeros_flower.http.server import listen
from aeros_flower.superlink import app_bundle

NAMES = ("toy", "flower")
WORDS = ("experiment=null", "repository=files", "transformer=[blobs,even,scale]",
         "trainer=linear", "collector=mean")  # fmt: skip
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}

THEIR_CLIENT = '''\
"""In the shape of Flower's own quickstarts: what the server says, and the app's own config."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(msg: Message, context: Context):
    part = int(context.node_config["partition-id"]) + 1
    step = part * msg.content["config"]["lr"] * context.run_config["scale"]
    arrays = [array + step for array in msg.content["arrays"].to_numpy_ndarrays()]
    metrics = {"train_loss": 1.0 / part, "num-examples": 10 * part}
    content = RecordDict({"arrays": ArrayRecord(arrays), "metrics": MetricRecord(metrics)})
    return Message(content=content, reply_to=msg)
'''

THEIR_SERVER = '''\
"""A plain Flower server: nothing of aeros but where the model starts."""

import json

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from aeros_flower.client_app import initial_arrays

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    start = initial_arrays(context.run_config["aeros"])
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=2, min_available_nodes=2)
    result = strategy.start(grid=grid, initial_arrays=start, num_rounds=2)
    found = {name: array.numpy().tolist() for name, array in result.arrays.items()}
    with open(context.run_config["out"], "w") as file:
        json.dump(found, file)
'''


def flower_app(folder, client, words="", server="np_app.server_app:app", **config):
    told = {"aeros": words} | config
    told = {n: v if isinstance(v, int) else f'"{v}"' for n, v in told.items()}
    app_bundle.create(
        folder, name="quickstart-numpy", publisher="somebody", server=server, client=client,
        config="".join(f"{name} = {value}\n" for name, value in told.items()),
    )  # fmt: skip
    (folder / "np_app").mkdir()
    (folder / "np_app" / "__init__.py").touch()
    (folder / "np_app" / "client_app.py").write_text(THEIR_CLIENT)
    (folder / "np_app" / "server_app.py").write_text(THEIR_SERVER)
    return folder


@pytest.fixture
def port():
    with listen("127.0.0.1", 0) as door:
        return door.getsockname()[1]


@pytest.fixture
def flower(environment, tmp_path):
    """A function that starts a program of Flower; all are ended afterwards."""
    running = []

    def start(program, *words):
        bin_ = Path(sys.executable).parent
        told = environment(*NAMES, **QUIET, FLWR_HOME=str(tmp_path / "flwr"))
        told["PATH"] = f"{bin_}{os.pathsep}{told['PATH']}"
        log = tmp_path / f"{program}-{len(running)}.log"
        with log.open("w") as said:  # a pipe would be held by what it began, and outlive it
            process = subprocess.Popen(
                [bin_ / program, *map(str, words)], cwd=tmp_path, env=told,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
            )  # fmt: skip
        running.append(process)
        return process, log

    yield start
    for process in running:
        for pid in (process.pid, *descendants(process.pid)):  # Flower detaches what it begins
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait(300)


def node(flower, port, number, config):
    with listen("127.0.0.1", 0) as door:
        own = door.getsockname()[1]
    told = f"partition-id={number} {config}".strip()
    words = ("--superlink", f"127.0.0.1:{port}", "--port", own, "--insecure")
    return flower("flower-supernode", *words, "--node-config", told)


@pytest.fixture
def run(start):
    """A function that runs a task in a process of its own, with time for stock nodes."""

    def to_its_end(*words):
        process = start("run", *WORDS, *words, names=NAMES)
        out, err = process.communicate(timeout=500)
        assert process.returncode == 0, out + err
        return out, err

    return to_its_end


@pytest.fixture
def local(command):
    """A function that runs the task within one process; returns what it printed."""

    def to_its_end(*words):
        ended = command("run", *WORDS, *words, names=("toy",))
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    return to_its_end


def up(port):
    """Wait until somebody listens."""
    ends = time.monotonic() + 200
    while time.monotonic() < ends:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5):
            return
        time.sleep(0.2)


def stored(toys, folder, name):
    return toys.Files(path=folder / "toy-store").model(name).parameters


# ---------------------------------------------------------------- our ClientApp, their server


class Here(Grid):
    """A Grid whose nodes answer in this process."""

    def __init__(self, app, words, nodes):
        self.app, self.answers = app, {}
        self.contexts = {
            n + 1: Context(1, n + 1, {"partition-id": n}, RecordDict(), {"aeros": words})
            for n in range(nodes)
        }

    def set_run(self, run):
        raise NotImplementedError

    @property
    def run(self):
        raise NotImplementedError

    def create_message(self, *args, **kwargs):
        raise NotImplementedError

    def get_node_ids(self):
        return list(self.contexts)

    def get_nodes(self):
        raise NotImplementedError

    def push_messages(self, messages):
        raise NotImplementedError

    def pull_messages(self, message_ids):
        raise NotImplementedError

    def send_and_receive(self, messages, *, timeout=None):
        return [self.app(m, self.contexts[m.metadata.dst_node_id]) for m in messages]


@pytest.fixture
def identity(monkeypatch):
    """What Flower's own processes know of themselves."""
    for name in ("run_id", "task_id", "node_id"):
        monkeypatch.setattr(TaskIdentity, f"_{name}", 1)


@pytest.fixture
def fresh():
    """No job of another test."""
    client_app._job.cache_clear()
    yield
    client_app._job.cache_clear()


@pytest.fixture
def here(hydra, install, identity, fresh, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # a node writes the log of its site into its state folder
    install(*NAMES[:1])


def test_flowers_fedavg_on_our_client_app_gives_what_aeros_gives(here, local, toys, tmp_path):
    words = " ".join(WORDS)
    grid = Here(client_app.app, words, 6)
    strategy = FedAvg(min_train_nodes=6, min_available_nodes=6, min_evaluate_nodes=6)
    result = strategy.start(grid, client_app.initial_arrays(words), num_rounds=3)
    local("task.rounds=3")
    ours = stored(toys, tmp_path, "task")
    for name, values in ours.items():
        assert np.allclose(result.arrays[name].numpy(), values, atol=1e-6)
    assert result.train_metrics_clientapp[3]["loss"] > 0
    assert 0 < result.evaluate_metrics_clientapp[3]["accuracy"] <= 1


def a_message(arrays, **config):
    content = {"arrays": arrays, "config": ConfigRecord({"server-round": 1} | config)}
    return Message(RecordDict(content), 1, "train")


@pytest.mark.parametrize("number", [6, -1, None])
def test_a_node_that_is_no_client_is_told_so(here, number):
    grid = Here(client_app.app, " ".join(WORDS), 1)
    grid.contexts[1].node_config["partition-id"] = number
    message = a_message(client_app.initial_arrays(" ".join(WORDS)))
    with pytest.raises(Exception, match=rf"partition-id={number} of this node names no client"):
        client_app.app(message, grid.contexts[1])


def test_arrays_of_another_model_are_refused(here):
    grid = Here(client_app.app, " ".join(WORDS), 1)
    arrays = ArrayRecord({"weight": Array(np.zeros((2, 3), "float32"))})
    with pytest.raises(Exception, match="tensor 'bias' is missing"):
        client_app.app(a_message(arrays), grid.contexts[1])


def flwr_run(flower, port, folder, tmp_path):
    """Run an app on a SuperLink and two SuperNodes as Flower ships them; return its log."""
    (tmp_path / "flwr").mkdir()
    (tmp_path / "flwr" / "config.toml").write_text(
        f'[superlink]\ndefault = "here"\n[superlink.here]\naddress = "127.0.0.1:{port}"\n'
        "insecure = true\n"
    )
    flower("flower-superlink", "--insecure", "--host", "127.0.0.1", "--port", port)
    up(port)
    for number in range(2):
        node(flower, port, number, "")
    process, log = flower("flwr", "run", folder, "here", "--stream")
    process.wait(550)
    return log


def test_our_rounds_run_on_an_external_superlink(flower, port, toys, local, tmp_path):
    """Our ServerApp and ClientApp, public API alone: with the bits of one process."""
    words = " ".join((*WORDS, "task.name=away", "task.rounds=2", "task.ordered=true"))
    apps = ("aeros_flower.client_app:app", words, "aeros_flower.server_app:app")
    folder = flower_app(tmp_path / "app", *apps, nodes=2)
    log = flwr_run(flower, port, folder, tmp_path)
    assert (tmp_path / "toy-store").exists(), log.read_text()
    local("task.rounds=2", "task.ordered=true")
    assert stored(toys, tmp_path, "away").digest == stored(toys, tmp_path, "task").digest


def test_a_plain_server_app_runs_our_client_app(flower, port, toys, local, tmp_path):
    """`flwr run` with a SuperLink and two SuperNodes as Flower ships them."""
    words = " ".join((*WORDS, "transformer.even.clients=2"))
    out = tmp_path / "arrays.json"
    folder = flower_app(tmp_path / "app", "aeros_flower.client_app:app", words, out=out)
    log = flwr_run(flower, port, folder, tmp_path)
    assert out.exists(), log.read_text()
    local("transformer.even.clients=2", "task.rounds=2")
    found = json.loads(out.read_text())
    for name, values in stored(toys, tmp_path, "task").items():
        assert np.allclose(found[name], values, atol=1e-6)


# ---------------------------------------------------------------- their nodes, our task


def test_a_stock_node_takes_part_beside_an_executor(flower, start, run, local, port):
    node(flower, port, 0, 'name="stock"')
    start("executor", f"127.0.0.1:{port}", "--name", "warm", names=NAMES)
    words = ("controller=flower", f"controller.port={port}", "controller.nodes=2",
             "controller.stock=true", "controller.wait=400", "task.name=both")  # fmt: skip
    out, err = run(*words, "task.rounds=2", "task.ordered=true")
    assert {"executor stock takes part", "executor warm takes part"} <= set(err.splitlines())
    assert figures(out) == figures(local("task.rounds=2", "task.ordered=true"))
    assert len(figures(out)) == 2


def figures(text):
    """Return loss and accuracy of each round, as they were printed."""
    return [line.split()[2:6] for line in text.splitlines() if line.startswith("round ")]


def test_a_third_partys_client_app_takes_part(flower, start, run, port, toys, tmp_path):
    folder = flower_app(tmp_path / "app", "np_app.client_app:app", scale=1)
    for number in range(2):
        node(flower, port, number, "")
    edge = start("executor", f"127.0.0.1:{port}", "--name", "edge", names=NAMES)
    words = ("controller=flower", f"controller.port={port}", "controller.nodes=2",
             f"controller.app={folder}", "controller.wait=400", "task.name=theirs",
             "controller.train_config={lr: 0.25}", "controller.run_config={scale: 3}",
             "task.quorum=2")  # fmt: skip
    _, err = run(*words, "task.rounds=2")
    why = "it is an aeros executor, and controller.app is run by flower-supernode"
    assert f"executor edge stands aside: {why}" in err
    edge.terminate()
    assert f"executor edge takes no part in the task: {why}" in edge.communicate(timeout=300)[1]
    begun = toys.Linear(lr=0.5, pause=0, fail=[], poison=[], features=2, model=None)
    step = 0.25 * 3 * (10 * 1 + 20 * 2) / 30
    expected = begun.initialise(None, seeding.seed(0, "model")).vector + 2 * step
    assert np.allclose(stored(toys, tmp_path, "theirs").vector, expected, atol=1e-5)


def test_a_folder_without_an_app_is_refused(command, tmp_path):
    ended = command("run", *WORDS, "controller=flower", "controller.app=nothing", names=NAMES)
    assert ended.returncode == 2
    assert "controller.app=nothing holds no Flower app" in ended.stderr


def test_an_option_that_their_app_does_not_have_is_refused(command, tmp_path):
    folder = flower_app(tmp_path / "app", "np_app.client_app:app", scale=1)
    words = ("controller=flower", f"controller.app={folder}", "controller.run_config={size: 3}")
    ended = command("run", *WORDS, *words, names=NAMES)
    assert ended.returncode == 2
    assert f"controller.run_config: the app of {folder} has no 'size'" in ended.stderr
    assert "aeros, scale" in ended.stderr


# ---------------------------------------------------------------- their simulation engine


@pytest.mark.soak
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_the_same_task_on_flowers_engine(run, local, toys, tmp_path):
    run("deployment=flower_simulation", "repository=files", "task.name=virtual",
        "task.rounds=2", "task.ordered=true", "controller.wait=400")  # fmt: skip
    local("task.rounds=2", "task.ordered=true")
    virtual, local = (stored(toys, tmp_path, name) for name in ("virtual", "task"))
    assert virtual.digest == local.digest


@pytest.mark.skipif(importlib.util.find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray_one_is_told_what_to_install(command):
    ended = command("run", *WORDS, "controller=flower_simulation", names=NAMES)
    assert ended.returncode == 2
    assert "pip install 'aeros-flower[simulation]'" in ended.stderr


@pytest.mark.parametrize("wrong", ["nodes=0", "cpus=0", "gpus=-1", "wait=-1"])
def test_no_simulation(command, wrong):
    ended = command("run", *WORDS, "controller=flower_simulation", f"controller.{wrong}",
                    names=NAMES)  # fmt: skip
    assert ended.returncode == 2
    assert "is no simulation" in ended.stderr

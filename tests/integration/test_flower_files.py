"""Plays a controller that wants files of an executor's machine, against real processes.

Every source there is names a file in every way there is; the system itself says whether
the executor has opened the secret (inotify), and every byte that it answers is looked at.
"""

import contextlib
import ctypes
import gzip
import os
import re
import socket
import struct
import sys
import time

import numpy as np
import pytest

pytest.importorskip("aeros_flower")
pytest.importorskip("pandas")

from omegaconf import OmegaConf

from aeros_core.config import store as configuration
from aeros_core.parameters import Parameters
from aeros_core.plugins import discovery
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_flower.http.server import listen
from aeros_flower.protocol import messages, preparation
from aeros_flower.superlink.embedded import EmbeddedSuperLink

REGISTRY = discovery.discover()
WORD = "hunter2"
IN_OPEN = 0x20


class Watch:
    """Counts how often files below a folder are opened, by anybody; the kernel says so."""

    def __init__(self, folder):
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._number = self._libc.inotify_init1(os.O_NONBLOCK)
        assert self._number >= 0
        for path in (folder, *folder.rglob("*")):
            assert self._libc.inotify_add_watch(self._number, bytes(path), IN_OPEN) >= 0

    def opened(self):
        """Return how many times since the last call; folders count, too."""
        found = 0
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self._number, 65536):
                at = 0
                while at < len(data):
                    at += 16 + struct.unpack_from("iIII", data, at)[3]
                    found += 1
        return found

    def close(self):
        os.close(self._number)


def idx(values):
    head = bytes([0, 0, 8, values.ndim]) + b"".join(n.to_bytes(4, "big") for n in values.shape)
    return head + values.astype(np.uint8).tobytes()


def fill(folder, word):
    """Write one file for each source there is; all of them hold a word."""
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    frame = pd.DataFrame(
        {
            "x": np.arange(40.0),
            "z": [f"{word}{n % 2}" for n in range(40)],
            "y": [word if n % 2 else "no" for n in range(40)],
        }
    )
    frame.to_csv(folder / "data.csv", index=False)
    frame.to_parquet(folder / "data.parquet")
    labels = np.array([word if n % 2 else "no" for n in range(40)])
    np.savez(folder / "data.npz", x=np.random.default_rng(0).random((40, 3)), y=labels)
    play = f"{word}:\n{'to be or not to be ' * 300}\n\n"
    (folder / "data.txt.gz").write_bytes(gzip.compress(play.encode()))
    for split in ("train", "t10k"):
        images, numbers = np.zeros((20, 28, 28)), np.arange(20) % 10
        (folder / f"{split}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(idx(numbers))
    return folder


SOURCES = {
    "table": ("path", "data.csv"),
    "table.parquet": ("path", "data.parquet"),
    "table.test": ("test_path", "data.csv"),
    "npz": ("path", "data.npz"),
    "text": ("path", "data.txt.gz"),
    "mnist": ("path", ""),
    "fashion_mnist": ("path", ""),
}


def node(group, name, **values):
    made = configuration.structured(REGISTRY.options[group, name].config)
    told = OmegaConf.to_container(made, enum_to_str=True)
    return {k: None if v == "???" else v for k, v in told.items() if k != "defaults"} | values


def task(source, path, **values):
    """Return what a controller sends: a source that is to read a path, and a trainer."""
    name, (option, _) = source.partition(".")[0], SOURCES[source]
    values = {option: path} | values
    if name == "table":
        values = {"path": "data.csv", "label": "y"} | values
    model, steps = ("lstm" if name == "text" else "softmax"), {}
    if name == "text":
        steps = {"drop": node("transformer", "drop", fields=["speaker"])}
    if name == "table":
        steps = {step: node("transformer", step) for step in ("one_hot", "stack")}
    trainer = node("trainer", "torch", model=node("trainer/model", model))
    return {
        "task": {"name": "theft"},
        "transformer": {
            name: node("transformer", name, **values),
            **steps,
            "iid": node("transformer", "iid", clients=2),
        },
        "trainer": trainer,
        "collector": {"codec": None},
    }


class Controller:
    """A controller that sends what it likes to one executor, and keeps all that it answers."""

    def __init__(self, start):
        self.link, self._start = EmbeddedSuperLink(listen("127.0.0.1", 0)), start
        self.heard = []

    def meet(self, *words, env=None):
        """Start an executor with these options, and wait for it."""
        line = [sys.executable, "-m", "aeros_core.cli.main", "executor", self.link.address]
        line += ["--name", "edge", "--state", "state", *words]
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AEROS_")}
        self.process, self.log = self._start(line, "edge", clean | (env or {}))
        ends = time.monotonic() + 300
        while not self.link.nodes():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < ends, self.log.read_text()
            time.sleep(0.05)
        (self.node,) = self.link.nodes()

    def ask(self, config, model=None):
        """Return what the executor says to a task."""
        message = self.link.push(self.node, preparation.pack_preparation("", config, model))
        ends, found = time.monotonic() + 300, []
        while not found:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < ends, self.log.read_text()
            found = self.link.pull([message], 1)
            self.link.wait(0.02)
        content = found[0].content
        self.heard.append(repr(dict(content)).encode() + b"".join(_bytes(content)))
        return messages.unpack_note(content, "prepared")

    @property
    def said(self):
        return self.log.read_text()


def _bytes(content):
    for record in content.values():
        for value in record.values():
            if isinstance(value, bytes):
                yield value
            elif hasattr(value, "data"):
                yield bytes(value.data)


@pytest.fixture
def controller(logged):
    made = Controller(logged)
    yield made
    made.link.close()


@pytest.fixture
def site(tmp_path):
    """A data root, beside it the same files with a secret, and a watch on those."""
    root, secret = fill(tmp_path / "root", "open"), fill(tmp_path / "secret", WORD)
    fill(root / "sub", "open")
    watch = Watch(secret)
    (secret / "data.csv").read_bytes()
    assert watch.opened(), "the watch sees nothing"
    yield root, secret, watch
    watch.close()


def tricks(root, secret, file):
    """Return the ways in which a path may lead from the root to the secret, by name."""
    held = os.open(secret, os.O_PATH)  # not of the executor; its own numbers are tried below
    os.close(held)
    folder, name = (secret, file) if file else (secret.parent, secret.name)
    made = {
        "absolute": f"{folder}/{name}",
        "dots": f"../{folder.relative_to(root.parent)}/{name}",
        "dots below": f"sub/../../{folder.relative_to(root.parent)}/{name}",
        "absolute dots": f"{root}/../{folder.relative_to(root.parent)}/{name}",
        "link": "link",
        "link in the middle": f"middle/{name}",
        "chain": "chain",
        "process": f"/proc/self/root{folder}/{name}",
        "working folder": f"/proc/self/cwd/{secret.name}/{file}",
        "slashes": f"//{folder}//{name}/",
    }
    for each in ("link", "middle", "chain"):
        (root / each).unlink(missing_ok=True)
    (root / "link").symlink_to(folder / name)
    (root / "middle").symlink_to(folder)
    (root / "chain").symlink_to("link")
    if file:
        (root / "hard").unlink(missing_ok=True)
        os.link(folder / name, root / "hard")
        made["hard link"] = "hard"
    return made


ODD = {
    "environment": "/proc/self/environ",
    "command line": "/proc/self/cmdline",
    "numbers": [f"/proc/self/fd/{number}" for number in range(12)],
    "devices": ["/dev/zero", "/dev/stdin", "/dev/tty", "/dev/fd/0"],
    "pipe": "pipe",
    "socket": "socket",
    "folder": "sub",
    "nothing": ["", ".", "/", "..", "~", "$HOME", "file:///etc/passwd", "http://127.0.0.1/x"],
    "types": [["data.csv"], {"path": "data.csv"}, 7, True, [], {}],
    "text": ["data.csv\0", "\ud800", "x" * 5000, "a" * 300 + "/b", "\x1b[2J", "ä/ö.csv"],
}


def odd(root):
    os.mkfifo(root / "pipe")
    with contextlib.chdir(root):
        made = socket.socket(socket.AF_UNIX)
        made.bind("socket")
        made.close()
    return [
        path for paths in ODD.values() for path in (paths if isinstance(paths, list) else [paths])
    ]


def assert_silent(controller, watch, secret, asked):
    """The secret was not opened, and nothing that was answered holds a part of it or its path."""
    assert watch.opened() == 0, asked
    for heard in controller.heard:
        for word in (WORD.encode(), str(secret).encode(), b"s3cr3t"):
            assert word not in heard, asked
    controller.heard.clear()


@pytest.mark.parametrize("mode", ["nothing", pytest.param("root", marks=pytest.mark.soak), "own"])
def test_no_file_outside_is_opened_whatever_a_task_names(controller, site, mode, tmp_path):
    root, secret, watch = site
    (tmp_path / "mine.csv").write_bytes((root / "data.csv").read_bytes())
    watch.opened()
    words = {
        "nothing": [],
        "root": ["--data-root", "root"],
        "own": ["--own", "--set", "transformer.table.path=mine.csv"],
    }
    (secret / "mnist").symlink_to(".")
    env = {"AWS_SECRET_ACCESS_KEY": "s3cr3t"} | ({} if mode == "own" else {"AEROS_DATA": "secret"})
    controller.meet(*words[mode], env=env)
    refused = 0
    for source, (_, file) in SOURCES.items():
        for trick, path in tricks(root, secret, file).items():
            watch.opened()
            told = controller.ask(task(source, path))
            assert_silent(controller, watch, secret, (source, trick))
            if mode == "own" and source.startswith("table"):
                assert told["error"] == "", (source, trick, controller.said[-2000:])
                assert told["examples"] > 0
            else:
                named = told["error"].startswith("the task names a")
                assert named or (mode == "own" and told["error"]), (source, trick, told)
                refused += 1
    for path in odd(root):
        for source in ("table", "mnist"):
            if source == "mnist" and path in ("sub", "."):
                continue  # a folder that holds the files
            told = controller.ask(task(source, path))
            assert_silent(controller, watch, secret, (source, path))
            assert (told["error"] == "") == (mode == "own" and source == "table"), (source, path)
    for source in ("mnist", "fashion_mnist", "text"):
        told = controller.ask(task(source, None))
        assert_silent(controller, watch, secret, (source, "the usual place"))
        assert told["error"]
    assert "Traceback" not in controller.said
    assert refused or mode == "own"


def test_below_the_data_root_tasks_read_what_they_name(controller, site):
    root, secret, watch = site
    controller.meet("--data-root", "root")
    for source, (_, file) in SOURCES.items():
        for path in (f"sub/{file}", str(root / file), f"./{file}"):
            told = controller.ask(task(source, path, **_enough(source)))
            assert told["error"] == "", (source, path, controller.said[-2000:])
    assert_silent(controller, watch, secret, "all")


def _enough(source):
    return {"min_characters": 10} if source == "text" else {}


def test_a_sites_own_data_are_the_ones_it_set_whatever_else_a_task_says(controller, site, tmp_path):
    """The command of the documentation, and a task that adds a file of its own."""
    _, secret, watch = site
    mine = tmp_path / "mine.csv"
    mine.write_text(
        "".join(["x,z,y\n", *(f"{n},{'ab'[n % 2]},{'pq'[n // 2 % 2]}\n" for n in range(10))])
    )
    controller.meet("--own", "--set", f"transformer.table.path={mine}")
    theirs = str(secret / "data.csv")
    asked = task("table", theirs, test_path=theirs, test_fraction=0.0, columns=["x", "z"])
    told = controller.ask(asked)
    assert told["error"] == "", controller.said
    assert told["examples"] == 10
    assert_silent(controller, watch, secret, "test_path")
    told = controller.ask(task("table", "x", label="z", columns=["x", "y"], test_fraction=0.0))
    assert told["error"] == "", "the roles of columns are the task's"


def test_a_wrong_label_tells_no_line_of_the_file(controller, site, tmp_path):
    (tmp_path / "words").write_text(f"{WORD}\n" * 5)
    controller.meet("--own", "--set", "transformer.table.path=words")
    for values in ({"label": "y"}, {"label": WORD}, {"columns": ["q"]}, {"header": False}):
        told = controller.ask(task("table", "x", **values))
        assert told["error"]
        assert WORD not in told["error"]
        assert "words" not in told["error"]


def test_a_delivered_model_reads_no_file_and_asks_no_server(controller, site, tmp_path):
    _, secret, watch = site
    policy = tmp_path / "policy.yaml"
    policy.write_text("tasks: [train, evaluate, infer]\n")
    policy.chmod(0o600)
    controller.meet(
        "--own", "--set", "transformer.table.path=root/data.csv", "--policy", str(policy)
    )
    schema = Schema((Field("x", "float32"), Field("y", "int64", categories=("no", "open"))), "y")
    weights = Parameters.of({"w": np.zeros(1, np.float32)})
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.settimeout(0.5)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        remote = node("inferencer", "remote", url=url, ca=str(secret / "data.csv"), token="PATH")
        held = {"inferencer": remote, "model": "m"}
        for inferencer in (
            remote,
            node("inferencer", "sequence", members={"a": held}, order=["a"]),
        ):
            for source, (option, file) in SOURCES.items():
                steps = {"s": node("transformer", source.partition(".")[0],
                                   **{option: f"{secret}/{file}"})}  # fmt: skip
                model = Model("m", weights, schema, {}, steps, inputs=schema)
                asked = task("table", str(secret / "data.csv")) | {"inferencer": inferencer}
                del asked["trainer"]
                assert controller.ask(asked, model)["error"]
                assert_silent(controller, watch, secret, source)
        with pytest.raises(TimeoutError):
            listener.accept()


def test_what_aeros_up_starts_reads_what_its_user_names_and_says_so(aeros, port, tmp_path):
    fill(tmp_path / "data", "open")
    out = aeros.apart("up", "--nodes", "1", "--port", str(port))
    try:
        assert "they read any file that a task names" in out
        log = (tmp_path / ".aeros" / "executor-1.log").read_text
        ends = time.monotonic() + 120
        while not re.search(r"read any\s+file of this user's", log()):
            assert time.monotonic() < ends, log()
            time.sleep(0.05)
        aeros.apart(
            "run", "deployment=flower", f"controller.port={port}", "experiment=null",
            "transformer=[table,one_hot,stack,iid]",
            f"transformer.table.path={tmp_path}/data/data.csv",
            "transformer.table.label=y", "transformer.iid.clients=2", "trainer=torch",
            "trainer/model=softmax", "collector=fedavg", "task.rounds=1", "task.name=up",
        )  # fmt: skip
        assert aeros.result()["rounds"] == 1
    finally:
        aeros.apart("down")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data-root", "nowhere"], "the data root nowhere is not a folder"),
        (["--data-root", "/"], "the data root / holds files of the system"),
        (["--data-root", "/proc/self"], "holds files of the system"),
    ],
)
def test_a_data_root_that_is_none_is_refused_at_start(aeros, words, said):
    err = aeros.apart("executor", "--name", "edge", *words, code=2)
    assert said in err
    assert "next: --data-root DIR" in err
    assert "Traceback" not in err

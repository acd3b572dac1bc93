"""A hostile controller against two machines with roots of their own: no value of a file leaves.

The machines are two mount namespaces where the system permits, else two folders. Each holds
files that a controller may be after, beside the table that its executor is to train on. The test
plays the controller with crafted messages, over every source and every step that is registered,
and looks at every byte that comes back.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from forked_python import completed
from omegaconf import OmegaConf

pytest.importorskip("flwr")
pytest.importorskip("aeros_transforms")
pytest.importorskip("aeros_torch")

from aeros_core.config import store as configuration
from aeros_core.files.data_files import DataFile
from aeros_core.messages import Action, Instruction
from aeros_core.options.metadata import OptionKind
from aeros_core.parameters import Parameters
from aeros_core.plugins import discovery
from aeros_core.records import Model
from aeros_core.schema import Field, Schema
from aeros_flower.http.server import listen
from aeros_flower.protocol import messages, preparation
from aeros_flower.superlink.embedded import EmbeddedSuperLink

OUTSIDE, INSIDE, LINE = "hunter2-outside", "hunter2-inside", "hunter2-first-line"
EXTREME = 918273.645
SECRETS = (OUTSIDE, INSIDE, LINE, str(EXTREME), "918273", "ward.csv", "/srv", "passwd", "Traceback")
"""What may not come back, in whatever message."""

REGISTRY = discovery.discover()
SOURCES = ("table", "npz", "text", "mnist", "fashion_mnist", "digits", "iris", "wine",
           "breast_cancer", "diabetes")  # fmt: skip


def names(group):
    return [n for n in REGISTRY.names(group) if not n.startswith("_")]


OFTEN = ("table", "npz", "mnist", "standardise", "one_hot", "by_group")
"""Transformers that are tried each time; `nox -s soak` tries all that are registered."""


def transformers():
    soak = pytest.mark.soak
    return [n if n in OFTEN else pytest.param(n, marks=soak) for n in names("transformer")]


def node(group, name, **options):
    config = configuration.structured(REGISTRY.options[group, name].config)
    made = OmegaConf.to_container(config, enum_to_str=True)
    return {k: v for k, v in made.items() if k != "defaults" and v != "???"} | options


class Machine:
    """A site: a root of its own, and an executor that a user started there."""

    def __init__(self, folder, name, port, own, *words):
        self.folder, self.name = folder, name
        folder.mkdir()
        (folder / "srv").mkdir()
        (folder / "srv" / "passwd").write_text(f"root:{OUTSIDE}\nsize,age\n{OUTSIDE},1\n")
        rows = [f"{i % 7}.5,{i * 3 % 11},{(INSIDE, 'calm')[i % 2]},{i % 2}" for i in range(40)]
        rows[3] = f"{EXTREME},3,calm,1"
        (folder / "ward.csv").write_text("\n".join(["size,age,mood,y", *rows]) + "\n")
        (folder / "headless.csv").write_text(f"{LINE},1\n" + "\n".join(f"{i},0" for i in range(30)))
        command = [sys.executable, "-m", "aeros_core.cli.main", "executor", f"127.0.0.1:{port}",
                   "--name", name, *own, *words]  # fmt: skip
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("AEROS_", "PYTHON"))}
        if NAMESPACES:  # the files of the other machine are not there
            hide = f'mount --bind {folder}/srv /srv && exec "$@"'
            command = ["unshare", "-m", "sh", "-c", hide, "sh", *command]
        self.log = folder / "executor.log"
        with self.log.open("w") as said:
            self.process = subprocess.Popen(
                command, cwd=folder, env=clean, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )

    @property
    def said(self):
        return self.log.read_text()

    @property
    def outside(self):
        return "/srv/passwd" if NAMESPACES else str(self.folder / "srv" / "passwd")

    def lines(self):
        words = ["-m", "aeros_core.cli.main", "executor", "--log", "--json"]
        done = completed(words, cwd=self.folder)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


def _namespaces():
    if shutil.which("unshare") is None or not Path("/srv").is_dir():
        return False
    words = ["unshare", "-m", "sh", "-c", "mount --bind /tmp /srv"]
    return subprocess.run(words, capture_output=True, timeout=300).returncode == 0


NAMESPACES = _namespaces()


class Hostile:
    """A controller that sends what it likes, and keeps every byte that comes back."""

    def __init__(self, link, machines, before):
        self.link, self.machines, self.came = link, machines, []
        ends = time.monotonic() + 120
        while len(link.nodes() - before) < len(machines) and time.monotonic() < ends:
            link.wait(0.2)
        self.numbers = sorted(link.nodes() - before)
        assert len(self.numbers) == len(machines), [m.said for m in machines]

    def ask(self, content, wait=120):
        """Send one message to every machine; return what each answers."""
        sent = [self.link.push(number, content) for number in self.numbers]
        ends, answers = time.monotonic() + wait, {}
        while len(answers) < len(sent) and time.monotonic() < ends:
            waited = [message for message in sent if message not in answers]
            for answer in self.link.pull(waited, most=len(waited)):
                answers[answer.message] = answer
            self.link.wait(0.2)
        assert len(answers) == len(sent), [m.said[-2000:] for m in self.machines]
        for answer in answers.values():
            self.came.append(bytes_of(answer))
            assert not answer.error, (answer.error, [m.said[-3000:] for m in self.machines])
        return [answers[message] for message in sent]

    def prepare(self, model=None, **config):
        asked = preparation.pack_preparation("", config, model)
        return [messages.unpack_note(a.content, "prepared") for a in self.ask(asked)]

    def train(self, parameters, nodes, action=Action.TRAIN):
        told = [Instruction(1, name, parameters, action) for name in nodes]
        return self.ask(messages.pack_instructions(told, "hostile"))

    def clean(self):
        """Make sure that no byte so far holds a secret, in any spelling of its numbers."""
        for data in self.came:
            for secret in SECRETS:
                assert secret.encode() not in data, (secret, data[:2000])
            for dtype in ("<f4", "<f8"):
                assert np.array(EXTREME, dtype).tobytes() not in data, (dtype, data[:500])
            assert OUTSIDE.encode("utf-32-le") not in data


def bytes_of(answer):
    if answer.content is None:
        return str(answer.error).encode()
    parts = [repr(dict(r)).encode() for r in answer.content.config_records.values()]
    parts += [v for r in answer.content.config_records.values() for v in r.values()
              if isinstance(v, bytes)]  # fmt: skip
    parts += [a.data for r in answer.content.array_records.values() for a in r.values()]
    return b"\0".join(parts)


TASK = {"name": "hostile", "rounds": 1, "seed": 0}
OWN = ("--own", "--set", "transformer.table.path=ward.csv")


def trainer():
    return node("trainer", "torch", model=node("trainer/model", "softmax"))


def asking(transformers, **more):
    return {"task": TASK, "transformer": transformers, "trainer": trainer(),
            "collector": {"codec": None}, **more}  # fmt: skip


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """A function that opens a controller for two machines whose users typed these words."""
    link, opened = EmbeddedSuperLink(listen("127.0.0.1", 0)), []
    port = int(link.address.rpartition(":")[2])

    def opening(*words):
        before, folder = set(link.nodes()), tmp_path_factory.mktemp("sites")
        machines = [Machine(folder / name, name, port, words) for name in ("bremen", "ulm")]
        opened.extend(machines)
        return Hostile(link, machines, before)

    yield opening
    for machine in opened:
        machine.process.kill()
        machine.process.wait(300)
    link.close()


@pytest.fixture(scope="module")
def own(hostile):
    """Two sites with data of their own, as documented: ``--own --set transformer.table.path``."""
    return hostile(*OWN)


@pytest.fixture(scope="module")
def plain_sites(hostile):
    """Two executors that were started without any option."""
    return hostile()


def paths(machine):
    return [machine.outside, "ward.csv", "./ward.csv", "../bremen/ward.csv", "headless.csv",
            "/etc/passwd", "/proc/self/environ", "/proc/self/fd/0", "/dev/stdin",
            "file:///etc/passwd"]  # fmt: skip


def test_the_machines_have_roots_of_their_own(own):
    """Otherwise the tests below would show less than they say."""
    if NAMESPACES:
        assert not Path("/srv/passwd").exists()
    ends = time.monotonic() + 300
    while "is connected" not in own.machines[0].said:  # it registers first, and says so then
        assert time.monotonic() < ends
        time.sleep(0.05)


@pytest.mark.parametrize("kind", ["own", "plain_sites"])
@pytest.mark.parametrize("name", transformers())
def test_every_transformer_with_every_path_it_takes(request, kind, name):
    """Also those of plugins to come: every option that names a file, and every text of a step."""
    sites = request.getfixturevalue(kind)
    option = REGISTRY.options["transformer", name]
    files = [key for key, of in option.kinds.items() if of is not OptionKind.VARIABLE]
    table = node("transformer", "table", path="ward.csv", label="y")
    for path in paths(sites.machines[0])[: None if files else 1]:
        one = node("transformer", name, **dict.fromkeys(files, path))
        chain = {name: one} if files else {"table": table, name: one}
        for told in sites.prepare(**asking(chain)):
            assert path not in json.dumps(told)
    sites.clean()


@pytest.mark.parametrize("name", transformers())
def test_every_step_with_wrong_options(own, name):
    """What an error says of a value, a column or a class stays at the site."""
    table = node("transformer", "table", label="y")
    usual = node("transformer", name)
    for key in [key for key in usual if key != "_target_"]:
        for value in ("mood", ["mood", "nothing"], -1):
            own.prepare(**asking({"table": table, name: usual | {key: value}}))
    own.clean()


WRONG = [
    {"label": "moood"}, {"label": LINE[:3]}, {"label": "mood"}, {"label": "size"},
    {"separator": ";"}, {"separator": "\n"}, {"separator": "e"}, {"header": False},
    {"header": False, "names": ["a"]}, {"names": ["a", "b", "c", "d"]}, {"columns": ["nothing"]},
    {"drop": ["size", "age", "mood", "y"]}, {"group": "mood"}, {"group": "nothing"},
    {"label": "mood", "label_kind": "number"}, {"label": "size", "label_kind": "category"},
    {"test_fraction": 0.99}, {"test_path": "headless.csv"}, {"test_path": "/etc/passwd"},
    {"path": "headless.csv"}, {"label": None}, {"nonsense": 1}, {"_target_": "os.system"},
    {"categories": {"mood": ["calm"], "y": [0, 1]}}, {"categories": {"mood": ["x"]}},
    {"categories": {"size": ["1"]}}, {"unknown": "refuse"},
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: json.dumps(wrong)[:50])
def test_a_table_that_is_asked_for_wrongly(own, wrong):
    steps = {"table": node("transformer", "table", label="y") | wrong}
    for more in ({}, {"stack": node("transformer", "stack")}):
        for told in own.prepare(**asking(steps | more)):
            assert "categories" not in json.dumps(told.get("schema", {})) or not_values(told)
    own.clean()


def not_values(told):
    return INSIDE not in json.dumps(told)


def test_training_sends_updates_and_no_value_of_a_row(own):
    chain = {
        "table": node("transformer", "table", label="y", drop=["mood"]),
        "stack": node("transformer", "stack"),
        "standardise": node("transformer", "standardise"),
    }
    told = own.prepare(**asking(chain))
    assert [t["error"] for t in told] == ["", ""], [m.said for m in own.machines]
    layout = Parameters.of({"w": np.zeros(3, "float32")})
    own.train(layout, ["bremen", "ulm", "hunter2", "../x"])
    own.train(layout, ["bremen"], Action.EVALUATE)
    own.train(layout, ["bremen"], Action.INFER)
    own.clean()


INPUTS = Schema((Field("size", "float64"), Field("age", "int64")))


def model(**transformers):
    head = {"_target_": REGISTRY.options["trainer/model", "softmax"].target}
    empty = Parameters.of({"w": np.zeros(1, "float32")})
    return Model("prices", empty, INPUTS, head, transformers, inputs=INPUTS)


@pytest.mark.parametrize("collect", ["predictions", "statistics"])
@pytest.mark.parametrize("name", names("inferencer"))
def test_every_inferencer_and_prediction_is_refused(own, name, collect):
    chosen = {"task": TASK | {"collect": collect}, "inferencer": node("inferencer", name),
              "transformer": {"table": node("transformer", "table", label=None)}}  # fmt: skip
    for told in own.prepare(model(), **chosen):
        assert told["error"].startswith("the site's policy does not allow this (tasks)")
    for answer in own.train(Parameters.of({"w": np.zeros(1, "float32")}), ["bremen"], Action.INFER):
        assert messages.unpack_replies(answer.content, None)[0].reason == "was not prepared"
    own.clean()


def test_explanations_are_refused(own):
    asked = node("inferencer", "torch", explain="integrated_gradients")
    for told in own.prepare(model(), task=TASK, inferencer=asked, transformer={}):
        assert "policy" in told["error"]
    own.clean()


class Listener:
    """An address that nobody may connect to."""

    def __enter__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.socket.settimeout(0.2)
        self.port, self.seen, self._over = self.socket.getsockname()[1], [], threading.Event()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()
        return self

    def _accept(self):
        while not self._over.is_set():
            try:
                line, _ = self.socket.accept()
            except TimeoutError:
                continue
            self.seen.append(line.recv(4096))
            line.close()

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()
        self.socket.close()


def addressed():
    return [(g, n) for (g, n), option in REGISTRY.options.items()
            if OptionKind.ADDRESS in option.kinds.values() and g in ("inferencer", "trainer",
            "trainer/model", "transformer")]  # fmt: skip


@pytest.mark.parametrize(("group", "name"), addressed())
def test_nobody_connects_to_an_address_of_the_controller(hostile, tmp_path, group, name):
    """Neither by default, nor where a site lets tasks infer but names no address."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("tasks: [train, evaluate, infer]\npredictions: true\n")
    policy.chmod(0o600)
    with Listener() as there:
        url = f"http://127.0.0.1:{there.port}"
        kinds = REGISTRY.options[group, name].kinds
        one = node(group, name, **{k: url for k, of in kinds.items() if of is OptionKind.ADDRESS})
        sites = hostile(*OWN, "--policy", str(policy))
        chosen = {"task": TASK, "inferencer": one,
                  "transformer": {"table": node("transformer", "table", label=None)}}  # fmt: skip
        for told in sites.prepare(model(), **chosen):
            assert "remote_inferencers" in told["error"], told
        sites.train(Parameters.of({"w": np.zeros(1, "float32")}), ["bremen", "ulm"], Action.INFER)
        sites.clean()
        assert there.seen == []


def test_a_stored_models_own_steps_read_no_file(hostile, tmp_path):
    policy = tmp_path / "policy.yaml"
    policy.write_text("tasks: [infer]\n")
    policy.chmod(0o600)
    sites = hostile(*OWN, "--policy", str(policy))
    for path in paths(sites.machines[0]):
        for name in SOURCES:
            kinds = REGISTRY.options["transformer", name].kinds
            step = node("transformer", name, **dict.fromkeys(kinds, path))
            sites.prepare(model(step=step), task=TASK, transformer={}, inferencer=None)
        chain = {"table": node("transformer", "table", label=None)}
        step = node("transformer", "table", path=path)
        sites.prepare(model(step=step), task=TASK, transformer=chain, inferencer=None)
    sites.clean()


def test_locked_algorithms_are_refused(own):
    pins = {"half": {"version": "1.0", "sha256": "0" * 64}}
    chain = {"table": node("transformer", "table", label="y")}
    brought = {"task": TASK | {"algorithms": pins}, "trainer": {"_target_": "half.Trainer"}}
    for told in own.prepare(**asking(chain) | brought):
        assert told["error"].startswith("the site's policy does not allow this (signers)")


BROKEN = [
    {}, {"task": 3}, {"task": {"name": INSIDE}}, {"transformer": [1]}, {"transformer": {"a": None}},
    {"transformer": {"table": "x"}}, {"trainer": None}, {"trainer": {"_target_": 3}},
    {"collector": 3}, {"task": TASK, "transformer": {}, "trainer": {}},
]  # fmt: skip


@pytest.mark.parametrize("config", BROKEN, ids=str)
def test_messages_that_are_none(own, config):
    own.prepare(**config)
    own.clean()


def test_foreign_kinds_of_messages(own):
    for kind in ("fit", "schema", "nonsense", "instructions", "prepared", "replies"):
        own.ask(messages.pack_note(kind, {"nodes": [], "path": "/etc/passwd"}))
    own.clean()


def test_each_side_finds_what_the_other_asks_about(own):
    """The reference that the controller is told leads to the whole error in the site's log."""
    wrong = asking({"table": node("transformer", "table", label="moood")})
    for told in own.prepare(**wrong):
        reference = told["error"].split("reference ")[1].split()[0]
        machine = next(m for m in own.machines if m.name == told["name"])
        [line] = [one for one in machine.lines() if one.get("reference") == reference]
        assert "moood" in line["text"]
        assert line["address"]
    own.clean()


def test_data_files_are_text():
    assert issubclass(DataFile, str)


FLOWER = ("deployment=flower", "controller.nodes=2", "controller.wait=60")
HOSTILE = ("experiment=null", "transformer=[table,stack]", "transformer.table.label=y",
           "trainer/model=softmax", "task.rounds=1", "repository.path=store")  # fmt: skip


@pytest.mark.parametrize(
    "words",
    [
        ("transformer.table.label=mood",),
        ("transformer.table.separator=;",),
        ("transformer.table.label=y", "transformer.table.test_path=public.csv"),
        ("transformer.table.drop=[mood]", "transformer.table.header=false"),
    ],
)
def test_aeros_run_with_hostile_overrides(aeros, port, tmp_path, words):
    """The same by the command line that a controller's user has."""
    machines = [Machine(tmp_path / name, name, port, OWN) for name in ("bremen", "ulm")]
    try:
        rows = "\n".join(f"{i},{i % 5},calm,{i % 2}" for i in range(40))
        (aeros.folder / "public.csv").write_text("size,age,mood,y\n" + rows)
        process = aeros.start("run", *HOSTILE, "transformer.table.path=public.csv", *words, *FLOWER,
                              f"controller.port={port}")  # fmt: skip
        out, err = process.communicate(timeout=300)
    finally:
        for machine in machines:
            machine.process.kill()
            machine.process.wait(300)
    came = [out, err]
    folders = (aeros.folder / name for name in ("store", "outputs"))
    came += [p.read_bytes().decode(errors="replace") for f in folders for p in f.rglob("*")
             if p.is_file()]  # fmt: skip
    for text in came:
        assert INSIDE not in text
        assert "918273" not in text
    assert "Traceback" not in err

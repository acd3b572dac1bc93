"""``aeros options``: what can be chosen, and the fields of each option."""

import json
import re
import subprocess
import sys

import pytest

CODE = '''
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from aeros_core import file_option, hookimpl


class Side(Enum):
    left = "left"
    right = "right"


@dataclass
class Base:
    """A base.

    Args:
        lr: Step, above 0; None: as the trainer has it.
    """

    lr: float | None = None


@dataclass
class Inner:
    """Part of an option.

    Args:
        every: In rounds, at least 1.
    """

    every: int = 3


@dataclass
class Nearest(Base):
    """``collector=nearest``: keeps the ``k`` nearest updates.

    Blanchard et al. 2017,
    section 4.

    Args:
        k: How many, 1 or more,
            of all updates.
        side: Which ones.
        path: A file.
    """

    _target_: str = "nowhere.Nearest"
    defaults: list[Any] = field(default_factory=lambda: ["_self_", {"rule@outer": "plain"}])
    outer: Any = "???"
    k: int = 2
    side: Side = Side.left
    path: str | None = file_option()
    names: list[str] = field(default_factory=list)
    inner: Inner = field(default_factory=Inner)
    must: str = "???"


@hookimpl
def aeros_collectors():
    return {"nearest": Nearest}
'''


@pytest.fixture
def options(aeros, distribution):
    """A function that carries out ``aeros options``, with a distribution of one collector."""
    distribution("toy-nearest", CODE)
    return lambda *words: aeros("options", *words)


def test_every_option_is_a_line(options):
    done = options()
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0].split() == ["option", "distribution", "summary"]
    for line in (
        "collector=nearest toy-nearest Keeps the k nearest updates.",
        "collector=mean toy",
        "experiment=digits aeros-core Ten parties",
        "deployment=local aeros-core Everything in one process",
        "task=federated aeros-core",
        "infrastructure=this_machine aeros-core",
    ):
        pattern = " +".join(map(re.escape, line.split()))
        assert re.search(rf"^{pattern}", done.stdout, re.M), line


def test_the_options_of_one_group(options):
    done = options("collector")
    assert [line.split()[0] for line in done.stdout.splitlines()[1:3]] == [
        "collector=mean", "collector=nearest",
    ]  # fmt: skip


PAGE = """\
collector=nearest  Keeps the k nearest updates.
from toy-nearest 2.0

Blanchard et al. 2017, section 4.

collector.lr=null                     float or null
    Step, above 0; null: as the trainer has it.
collector/rule@collector.outer=plain  option of collector/rule
collector.k=2                         int
    How many, 1 or more, of all updates.
collector.side=left                   left | right
    Which ones.
collector.path=null                   file, text or null
    A file.
collector.names=[]                    list of text
collector.inner.every=3               int
    In rounds, at least 1.
collector.must=required               text
collector/codec=null                  option of collector/codec
    Compression of updates on their way to the collector; null: none.

to use it: aeros run collector=nearest collector.k=2
"""


def test_the_fields_of_one_option(options):
    done = options("collector=nearest")
    assert (done.returncode, done.stdout, done.stderr) == (0, PAGE, "")


def test_an_option_as_json(options):
    told = json.loads(options("collector=nearest", "--json").stdout)
    assert list(told) == [
        "group", "option", "summary", "distribution", "version", "description", "fields",
        "preset", "use",
    ]  # fmt: skip
    assert told["fields"][3] == {
        "option": "collector.side",
        "type": "left | right",
        "default": "left",
        "required": False,
        "choices": ["left", "right"],
        "description": "Which ones.",
    }
    assert told["fields"][-2]["required"]
    listed = json.loads(options("--json").stdout)
    assert {"group", "option", "summary", "distribution", "version"} == listed[0].keys()
    assert {each["group"] for each in json.loads(options("task", "--json").stdout)} == {"task"}


def test_a_preset_is_shown_to_be_copied(options):
    done = options("experiment=digits")
    assert "\n  - override /transformer: [digits, dirichlet, standardise]\n" in done.stdout
    assert "aeros run --config-dir conf experiment=mine" in done.stdout.splitlines()[-1]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("collektor", "group collektor does not exist\n  exists: callback, collector, "),
        ("collektor", "\n  next: aeros options collector\n"),
        ("nearest", "\n  next: aeros options collector=nearest\n"),
        ("moon", "\n  next: aeros options\n"),
        ("collector=nearst", "collector=nearst does not exist\n  exists: mean, nearest\n"),
        ("collector=nearst", "\n  next: aeros options collector=nearest\n"),
        ("experiment=digit", "\n  next: aeros options experiment=digits\n"),
        ("task=moon", "task=moon does not exist\n  exists: federated, inference, served\n"),
        ("task=moon", "\n  next: aeros options task\n"),
    ],
)
def test_unknown_groups_and_options_are_refused(options, word, message):
    done = options(word)
    assert done.returncode in (1, 2)
    assert message in done.stderr
    assert done.stdout == ""


def test_what_a_broken_plugin_offers_is_said_to_be_missing(aeros, install):
    install("toy", "missing_dependency", "clash_a", "clash_b")
    done = aeros("options", "collector")
    assert "not listed: what missing_dependency offers\n" in done.stdout
    assert re.search(r"^not listed: \w+=\w+$", done.stdout, re.M)


def test_nothing_heavy_is_imported(tmp_path):
    code = (
        "import sys\nfrom aeros_core.cli.main import main\n"
        "assert main(['options']) == 0 and main(['options', 'controller=local']) == 0\n"
        "heavy = {'torch', 'numba', 'flwr', 'zarr', 'onnxruntime', 'hydra', 'pandas', 'sklearn'}\n"
        "sys.exit(str(heavy & {*sys.modules}) if heavy & {*sys.modules} else 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")

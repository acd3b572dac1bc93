"""What the plugin offers, and what importing it costs."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aeros_aggregators
from aeros_aggregators.rules.fedavg import FedAvg
from aeros_core.roles.collector import Collector

OPTIONS = aeros_aggregators.aeros_collectors()


def built(option):
    """Return what implements an option, and its options with a rule where one is held."""
    values = {
        field.name: getattr(option, field.name)
        for field in dataclasses.fields(option)
        if field.name not in ("_target_", "defaults")
    }
    held = {name: (lambda: FedAvg(personal=())) for name in values.keys() & {"rule", "outer"}}
    module, _, attribute = option._target_.rpartition(".")
    return getattr(importlib.import_module(module), attribute), values | held


@pytest.mark.parametrize("name", OPTIONS)
def test_options_build_collectors(name):
    made, values = built(OPTIONS[name]())
    assert isinstance(made(**values), Collector)
    taken = inspect.signature(made).parameters.values()
    assert {p.name for p in taken} == set(values)
    assert all(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in taken)


def test_every_rule_may_leave_tensors_with_their_nodes():
    for option in aeros_aggregators.aeros_rules().values():
        made, values = built(option(personal=["head.*"]))
        assert made(**values).broadcast(3).personal == ("head.*",)


def test_a_collector_that_holds_a_rule_is_no_rule_itself():
    assert OPTIONS.keys() - aeros_aggregators.aeros_rules().keys() == {"ema", "swa", "tree"}


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_described(name):
    text = "".join(inspect.getdoc(made) or "" for made in OPTIONS[name].__mro__[:-1])
    for field in dataclasses.fields(OPTIONS[name]):
        assert field.name in ("_target_", "defaults") or f"{field.name}: " in text


def test_discovery_imports_nothing_heavy():
    code = "import sys, aeros_aggregators; aeros_aggregators.aeros_collectors();" + (
        "print(sorted({m.partition('.')[0] for m in sys.modules}"
        " & {'numpy', 'numba', 'llvmlite', 'torch', 'hydra'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_readme_lists_every_codec_with_its_defaults():
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    rows = dict(
        re.findall(r"^\| `(\w+)` \|[^|]*\|[^|]*\| *(?:`(.*?)`)? *\|$", readme, re.MULTILINE)
    )
    for name, made in aeros_aggregators.aeros_codecs().items():
        said = " ".join(f"{f.name}={f.default}" for f in dataclasses.fields(made)[1:])
        assert rows[name] == said


def test_readme_lists_every_option_with_its_default():
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*?\| *(?:`(.*?)`)? *\|$", readme, re.MULTILINE)
    unsaid = ("_target_", "defaults", "personal", "rule", "outer")
    expected = {
        name: {f.name: f.default for f in dataclasses.fields(made) if f.name not in unsaid}
        for name, made in OPTIONS.items()
    }
    shown = {
        name: dict(pair.split("=") for pair in options.split())
        for name, options in rows
        if name in expected
    }
    assert shown.keys() == expected.keys()
    for name, options in expected.items():
        said = {key: getattr(value, "name", str(value)) for key, value in options.items()}
        assert shown[name] == said

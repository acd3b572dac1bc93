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
from aeros_core.roles import Collector

OPTIONS = aeros_aggregators.aeros_collectors()


@pytest.mark.parametrize("name", OPTIONS)
def test_options_build_collectors(name):
    values = dataclasses.asdict(OPTIONS[name]())
    module, _, attribute = values.pop("_target_").rpartition(".")
    made = getattr(importlib.import_module(module), attribute)
    assert isinstance(made(**values), Collector)
    taken = inspect.signature(made).parameters.values()
    assert {p.name for p in taken} == set(values)
    assert all(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in taken)


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_is_described(name):
    text = inspect.getdoc(OPTIONS[name]) or ""
    for field in dataclasses.fields(OPTIONS[name])[1:]:
        assert f"{field.name}: " in text


def test_discovery_imports_nothing_heavy():
    code = "import sys, aeros_aggregators; aeros_aggregators.aeros_collectors();" + (
        "print(sorted({m.partition('.')[0] for m in sys.modules}"
        " & {'numpy', 'numba', 'llvmlite', 'torch', 'hydra'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_readme_lists_every_option_with_its_default():
    readme = (Path(__file__).parent.parent / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \|.*?\| *(?:`(.*?)`)? *\|$", readme, re.MULTILINE)
    expected = {
        name: " ".join(f"{f.name}={f.default:g}" for f in dataclasses.fields(made)[1:])
        for name, made in OPTIONS.items()
    }
    shown = {}
    for name, options in rows:
        pairs = (pair.split("=") for pair in options.split())
        shown[name] = " ".join(f"{key}={float(value):g}" for key, value in pairs)
    assert shown == expected

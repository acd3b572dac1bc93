"""The types of the core and of every plugin, checked while the other tests run."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy")

ROOT = Path(__file__).parents[2]
SOURCES = [ROOT / "src", *sorted(ROOT.glob("plugins/*/src"))]


def test_mypy_finds_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--cache-dir", str(tmp_path), *map(str, SOURCES)],
        cwd=ROOT, capture_output=True, text=True, timeout=550,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("Success: no issues found in ")


SCRIPT = """
from collections.abc import Iterable

from aeros_core import Collector, Parameters, Update, hookimpl, weighted_mean


class Mean:
    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        return weighted_mean(parameters, updates)


mean: Collector = Mean()
wrong: Collector = weighted_mean
from aeros_core import Parameter
"""


def test_a_strict_user_of_the_public_surface_is_checked(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    options = ["--strict", "--no-implicit-reexport", "--follow-imports=silent"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, "--cache-dir", str(tmp_path), "script.py"],
        cwd=tmp_path, capture_output=True, text=True, timeout=550,
        env={**os.environ, "MYPYPATH": str(ROOT / "src")},
    )  # fmt: skip
    found = [line for line in done.stdout.splitlines() if ": error: " in line]
    assert len(found) == 2, done.stdout
    assert found[0].startswith("script.py:13: error: Incompatible types in assignment")
    assert 'Module "aeros_core" has no attribute "Parameter"' in found[1]

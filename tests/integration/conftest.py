"""Runs the real command line in a directory of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@dataclass
class Shell:
    """Types `aeros …` in one working directory."""

    folder: Path

    def start(self, *words):
        return subprocess.Popen(
            [sys.executable, "-m", "aeros_core.cli", *words],
            cwd=self.folder,
            env={k: v for k, v in os.environ.items() if not k.startswith("AEROS_")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *words, code=0):
        process = self.start(*words)
        out, err = process.communicate(timeout=600)
        assert process.returncode == code, out + err
        return out if code == 0 else err

    def results(self):
        """Return every result.json of a run's directory, oldest first."""
        paths = [*self.folder.glob("outputs/*/*/result.json")]
        paths += self.folder.glob("multirun/*/*/*/result.json")
        paths.sort(key=lambda path: path.stat().st_mtime_ns)
        return [json.loads(path.read_text()) for path in paths]

    def result(self):
        """Return the newest result.json."""
        return self.results()[-1]

    def kill_after(self, rounds, *words):
        """Run a task and SIGKILL it once so many rounds are reported."""
        process = self.start("run", *words)
        for line in process.stdout:
            if line.startswith(f"round {rounds}/"):
                break
        time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        process.stderr.close()
        assert process.returncode == -signal.SIGKILL


@pytest.fixture
def aeros(tmp_path):
    return Shell(tmp_path)


@pytest.fixture
def real_data():
    """The directory of real data sets; tests that use it skip where it is absent."""
    folder = Path(os.environ.get("AEROS_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data in {folder}; set AEROS_DATA")
    return folder

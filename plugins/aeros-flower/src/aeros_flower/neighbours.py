"""Executors on this machine, started and ended together: ``aeros up`` and ``aeros down``."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from aeros_core.errors import ConfigError, TaskError
from aeros_core.words import counted

__all__ = ["FOLDER", "Standing", "down", "standing", "up"]

FOLDER = Path(".aeros")
_FILE = "executors.json"
_PATIENCE = 120.0
"""Seconds that an executor may take to start, and ten times as long as it may to end."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Executors that `up` started and that live.

    Args:
        port: Of this machine, where they look for a controller.
        names: What they are called.
    """

    port: int
    names: tuple[str, ...]


def standing(folder: Path) -> Standing | None:
    """Return what `up` started and is still there; None if nothing is.

    Raises:
        ConfigError: The list of what was started cannot be read.
    """
    port, running = _running(folder)
    return Standing(port, tuple(running.values())) if running else None


def up(folder: Path, nodes: int, port: int) -> list[int]:
    """Start executors for the controller on a port of this machine; return their process ids.

    Raises:
        ConfigError: Some are running already.
        TaskError: One of them ended at once; none is left running.
    """
    if found := standing(folder):
        many = f"{counted(len(found.names), 'executor')} of {folder}"
        raise ConfigError(f"{many} run already, for port {found.port}", hint="aeros down")
    folder.mkdir(parents=True, exist_ok=True)
    began = [_start(folder, f"executor-{i + 1}", port) for i in range(nodes)]
    listed = [
        {"pid": process.pid, "since": _since(process.pid), "name": f"executor-{i + 1}"}
        for i, process in enumerate(began)
    ]
    told = {"port": port, "executors": listed}
    (folder / _FILE).write_text(json.dumps(told), encoding="utf-8")
    ends = time.monotonic() + _PATIENCE
    for number, process in enumerate(began, 1):
        log = folder / f"executor-{number}.log"
        while process.poll() is None and not log.stat().st_size and time.monotonic() < ends:
            time.sleep(0.05)
        if process.poll() is not None:
            down(folder)
            raise TaskError(
                f"executor-{number} ended: {log.read_text(encoding='utf-8').strip()[-500:]}",
                hint=f"its log is {log}",
            )
    return [process.pid for process in began]


def _start(folder: Path, name: str, port: int) -> subprocess.Popen[bytes]:
    words = ["-m", "aeros_core.cli", "executor", f"127.0.0.1:{port}", "--name", name]
    words += ["--state", str(folder / "state")]
    with (folder / f"{name}.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - this program, with a port that is a number
            [sys.executable, *words],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def down(folder: Path) -> int:
    """End the executors that `up` started; return how many there were.

    Raises:
        ConfigError: None was started from here.
    """
    if not (folder / _FILE).exists():
        raise ConfigError(f"no executor was started from {folder}", hint="aeros up")
    _, running = _running(folder)
    for pid in running:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    ends = time.monotonic() + _PATIENCE / 10
    while any(map(_lives, running)) and time.monotonic() < ends:
        time.sleep(0.05)
    for pid in filter(_lives, running):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    (folder / _FILE).unlink()
    return len(running)


def _running(folder: Path) -> tuple[int, dict[int, str]]:
    """Return port and our processes that live, by id; a number given anew is not ours."""
    try:
        told = json.loads((folder / _FILE).read_text(encoding="utf-8"))
        listed = told["executors"]
        alive = [e for e in listed if _lives(e["pid"], e["since"])]
        return int(told["port"]), {e["pid"]: e["name"] for e in alive}
    except FileNotFoundError:
        return 0, {}
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{folder / _FILE} cannot be read: {error}", hint=f"rm {folder / _FILE}"
        ) from error


def _lives(pid: int, since: str | None = None) -> bool:
    found = _since(pid)
    return bool(found) and since in (None, found)


def _since(pid: int) -> str:
    """Return when a process began, in clock ticks since the machine did; empty if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] == "Z" else fields[19]

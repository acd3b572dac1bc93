"""A controller and executors on this machine: ``aeros up`` and ``aeros down``."""

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
from typing import TypeAlias

from aeros_core.errors import ConfigError, TaskError
from aeros_core.plugins.single_files import plugin_files
from aeros_core.reporting.text import counted
from aeros_flower.cluster.folder import FOLDER, acquire, opened, remove_socket
from aeros_flower.http.server import listen
from aeros_flower.security import probe
from aeros_flower.system.network import READY
from aeros_flower.system.port_owner import PortOwner, port_owner
from aeros_flower.system.versions import is_tried

__all__ = ["FOLDER", "Standing", "cluster_folder", "command", "down", "standing", "up"]

_Processes: TypeAlias = dict[str, subprocess.Popen[bytes]]
_FILE = "executors.json"
_CONTROLLER = "controller"
_STANDING = "aeros_flower.superlink.standby.server"
_PATIENCE = 120.0
"""Seconds that a process may take to start, and ten times as long as it may to end."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What `up` started and lives.

    Args:
        port: Of this machine, where executors look for a controller.
        names: What they are called.
        controller: Whether one stands by there.
    """

    port: int
    names: tuple[str, ...]
    controller: bool = False

    def __str__(self) -> str:
        """Return it in words."""
        executors = counted(len(self.names), "executor")
        return f"a controller and {executors}" if self.controller else executors


def _named(folder: Path) -> str:
    return "" if folder == FOLDER else f" --folder {folder}"


def command(folder: Path) -> str:
    """Return what runs a task on what `up` started there."""
    beside = "" if folder == FOLDER else f" controller.folder={folder}"
    return f"aeros run deployment=flower{beside}"


def cluster_folder(folder: Path) -> Path:
    """Return the folder of the controller that stands by, which is its user's alone."""
    return folder / _CONTROLLER


def standing(folder: Path) -> Standing | None:
    """Return what `up` started and is still there; None if nothing is.

    Raises:
        ConfigError: The list of what was started cannot be read.
    """
    port, running = _running(folder)
    names = tuple(name for name in running.values() if name != _CONTROLLER)
    return Standing(port, names, _CONTROLLER in running.values()) if running else None


def up(
    folder: Path, nodes: int, port: int, *, alone: bool = False, metrics: int | None = None
) -> Standing:
    """Start a controller at a port of this machine and executors for it.

    Executors load the files that ``--plugin`` names for this process.

    Where another flwr is installed than the one that is tried, or where an ``aeros run`` or a
    SuperLink of this user answers at the port, executors are started alone.

    Args:
        folder: Where logs go, and what is to be known of them later.
        nodes: How many executors.
        port: Where the controller listens.
        alone: Start executors alone.
        metrics: Port of the first executor's figures, others have the next; None: there are
            none.

    Raises:
        ConfigError: Some are running already, or the port is taken.
        TaskError: One of them ended at once; none is left running.
    """
    if found := standing(folder):
        raise ConfigError(
            f"{found} of {folder} run already, for port {found.port}",
            hint=f"{command(folder)}, or aeros down{_named(folder)} first",
        )
    controller = not alone and is_tried() and not _answers(port)
    acquire(folder)
    began: _Processes = {}
    if controller:
        words = [_STANDING, str(port)]
        _start(folder, port, began, _CONTROLLER, words, _private(cluster_folder(folder)))
        _await(folder, _CONTROLLER, began[_CONTROLLER], READY)
    executors = tuple(f"executor-{number}" for number in range(1, nodes + 1))
    for number, name in enumerate(executors):
        words = [
            "aeros_core.cli.main",
            "executor",
            f"127.0.0.1:{port}",
            "--name",
            name,
            "--same-user",
            *plugin_files.words(),
        ]
        words += [] if metrics is None else ["--metrics", str(metrics + number)]
        _start(folder, port, began, name, [*words, "--state", str(folder / "state")], Path())
    for name in executors:
        _await(folder, name, began[name])
    return Standing(port, executors, controller)


def _answers(port: int) -> bool:
    """Tell whether a run or a SuperLink of this user's waits at a port for executors.

    Raises:
        ConfigError: Somebody else has it.
    """
    address, who = f"127.0.0.1:{port}", port_owner(port)
    try:
        there = probe.check(address, None, insecure=True, seconds=3.0)
        if not there:
            listen("127.0.0.1", port).close()
    except ConfigError as error:
        raise _taken(port, who) from error
    if there and probe.is_stranger(address):
        raise _taken(port, who)
    if there and (who is None or _STANDING in who.words):
        raise _theirs(port, who)
    return there


def _taken(port: int, who: PortOwner | None) -> ConfigError:
    return ConfigError(
        f"--port {port} of this machine is taken, and not by a controller",
        exists=str(who or ""),
        hint="aeros up --port PORT, another one",
    )


def _theirs(port: int, who: PortOwner | None) -> ConfigError:
    """Return what says that others have their executors at a port."""
    if who is None:
        return ConfigError(
            f"--port {port} of this machine is another user's, whose controller answers there",
            hint="aeros up --port PORT, another one; or aeros up --alone, for executors of theirs",
        )
    folder = who.folder.parent
    return ConfigError(
        f"--port {port} of this machine has the controller that aeros up started in"
        f" {folder.parent if folder.name == FOLDER.name else folder}",
        exists=f"{who}",
        hint=f"aeros up --port PORT, another one; or aeros down --folder {folder} first",
    )


def _private(folder: Path) -> Path:
    """Return a folder that nobody else may enter, without a socket of before."""
    if folder.is_symlink():
        raise ConfigError(f"{folder} is a link, which aeros up has not made", hint="move it")
    folder.mkdir(exist_ok=True)
    folder.chmod(0o700)
    remove_socket(folder / "line")
    return folder


def _await(folder: Path, name: str, process: subprocess.Popen[bytes], word: str = "") -> None:
    """Wait until a process says a word, whichever comes first if none is named.

    Raises:
        TaskError: It ended before; all others are ended, too.
    """
    log, ends = folder / f"{name}.log", time.monotonic() + _PATIENCE
    while process.poll() is None and time.monotonic() < ends:
        if (said := log.read_text(encoding="utf-8")) and word in said:
            return
        time.sleep(0.05)
    if process.poll() is not None:
        down(folder)
        said = log.read_text(encoding="utf-8").strip()[-500:]
        raise TaskError(f"{name} ended: {said}", hint=f"its log is {log}")


def _start(
    folder: Path, port: int, began: _Processes, name: str, words: list[str], where: Path
) -> None:
    """Start a process of Python's beside those that began, and note all of them."""
    with opened(folder / f"{name}.log") as log:
        began[name] = subprocess.Popen(  # noqa: S603 - this program, with a port that is a number
            [sys.executable, "-m", *words],
            cwd=where,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    listed = [{"pid": p.pid, "since": _since(p.pid), "name": n} for n, p in began.items()]
    told = {"port": port, "executors": listed}
    with opened(folder / _FILE) as file:
        file.write(json.dumps(told).encode())


def down(folder: Path) -> Standing:
    """End what `up` started; return what there was of it.

    Raises:
        ConfigError: Nothing was started from here.
    """
    if not (folder / _FILE).is_file() or (folder / _FILE).is_symlink():
        raise ConfigError(f"nothing was started from {folder}", hint=f"aeros up{_named(folder)}")
    found = standing(folder) or Standing(0, ())
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
    return found


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

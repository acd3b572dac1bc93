"""Making nodes known to a stock SuperLink by their keys, with Flower's own command."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from aeros_flower.leash import leashed

__all__ = ["Enrolment"]

_PATIENCE = 60.0
"""Seconds that Flower's command may take."""


class Enrolment:
    """Registers nodes, and registers them again where the SuperLink was begun anew."""

    def __init__(self) -> None:
        self._known: dict[bytes, str] = {}
        self._where: Mapping[str, str] | None = None
        self._lock = threading.Lock()

    def begin(self, where: Mapping[str, str]) -> None:
        """Hear that a SuperLink has begun, and by which variables ``flwr`` finds it."""
        with self._lock:
            self._where = where
            for key, name in self._known.items():
                _register(key, name, where)

    def enrol(self, key: bytes, name: str) -> None:
        """Make a node known by its public key (PEM); while there is no SuperLink, later."""
        with self._lock:
            self._known[key] = name
            if self._where is not None:
                _register(key, name, self._where)


def _register(key: bytes, name: str, where: Mapping[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "log").open("w") as log:
        file = Path(folder) / "node.pub"
        file.write_bytes(key)
        words = ("flwr", "supernode", "register", str(file), "here", "--name", name)
        process = leashed(words, where, log)
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

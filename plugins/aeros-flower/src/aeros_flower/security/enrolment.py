"""Making nodes known to a stock SuperLink by their keys, with Flower's own command."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from aeros_flower.system.child_process import start_child
from aeros_flower.system.network import say

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
    with tempfile.TemporaryDirectory() as folder:
        file, said = Path(folder) / "node.pub", Path(folder) / "log"
        file.write_bytes(_openssh(key))
        words = ("flwr", "supernode", "register", str(file), "here", "--name", name)
        with said.open("w") as log:
            process = start_child(words, where, log)
            try:
                code = process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
                code = process.wait()
        if code:
            say(f"node {name} could not be registered: {said.read_text().strip()[-500:]}")


def _openssh(key: bytes) -> bytes:
    """Return a public key in the form in which Flower's command reads it."""
    form, kind = serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    return serialization.load_pem_public_key(key).public_bytes(form, kind)

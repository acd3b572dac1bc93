"""What clients keep for themselves, so that a task that goes on finds it as it was.

Tensors that stay on their node, and what a codec could not send, lie with the executor and
nowhere else. A round that was not committed is run again, so the state before the last round
is kept beside the present one; both lie on disk, for an executor that was killed.
"""

from __future__ import annotations

import hashlib
import io
import os
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from aeros_core.controllers.local import LocalNodes
from aeros_core.messages import State

__all__ = ["Keeping"]


class Keeping:
    """Follows the clients' state from round to round.

    Args:
        folder: Where it lies; made when there is something to keep.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._session = ""
        self._round = 0
        self._before: State = {}
        self._again = True

    def reconnect(self) -> None:
        """Hear that a controller came (back): it may run the last round again."""
        self._again = True

    def begin(self, nodes: LocalNodes, session: str, number: int) -> None:
        """Bring the clients to where they were before round ``number`` of a session."""
        if session != self._session:
            self._session, self._round, self._before = session, 0, {}
            nodes.restore(self._load())
        if self._again and number <= self._round:
            nodes.restore(self._before if number == self._round else {})
        self._again = False
        if number > self._round:
            self._round, self._before = number, nodes.state()

    def end(self, nodes: LocalNodes) -> None:
        """Store what clients keep now, if they keep anything."""
        now = nodes.state()
        if not now and not self._before:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path
        whole: dict[str, Any] = {"round": np.array(self._round)}
        whole |= {f"now.{name}": np.asarray(value) for name, value in now.items()}
        whole |= {f"before.{name}": np.asarray(value) for name, value in self._before.items()}
        with path.with_suffix(".new").open("wb") as file:
            np.savez(file, allow_pickle=False, **whole)
            file.flush()
            os.fsync(file.fileno())
        path.with_suffix(".new").replace(path)

    def _load(self) -> State:
        """Take up what lies on disk of this session; return the present state."""
        try:
            stored = io.BytesIO(self._path.read_bytes())
            with np.load(stored, allow_pickle=False) as found:
                whole = {name: found[name] for name in found.files}
        except (OSError, ValueError, BadZipFile):
            return {}
        self._round, self._again = int(whole.pop("round")), True
        self._before = _part(whole, "before.")
        return _part(whole, "now.")

    @property
    def _path(self) -> Path:
        return self._folder / f"{hashlib.sha256(self._session.encode()).hexdigest()[:32]}.npz"


def _part(whole: dict[str, Any], prefix: str) -> State:
    return {
        name.removeprefix(prefix): str(value) if value.dtype.kind == "U" else value
        for name, value in whole.items()
        if name.startswith(prefix)
    }

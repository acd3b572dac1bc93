"""What clients keep for themselves, so that a task that goes on finds it as it was.

Tensors that stay on their node, and what a codec could not send, lie with the executor and
nowhere else. What was trained for a controller that did not hear of it is trained again, so
the state before the last round is kept beside the present one; both lie on disk, for an
executor that was killed.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from aeros_core.controllers.local import LocalNodes
from aeros_core.messages import State

__all__ = ["ClientStore"]


class ClientStore:
    """Follows the clients' state from round to round.

    Args:
        folder: Where it lies; made when there is something to keep.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._session = ""
        self._round = 0
        self._before: State = {}
        self._trained: dict[str, tuple[int, str]] = {}

    def begin(
        self, nodes: LocalNodes, session: str, number: int, since: str, clients: Collection[str]
    ) -> None:
        """Bring clients that are about to train to where they were before the round.

        Args:
            nodes: Whose state it is.
            session: The run of the task, across restarts of the controller.
            number: The round.
            since: Names the last time that a controller came. Clients that it asks for a
                round which they have trained before that time begin that round again.
            clients: Those that are about to train.
        """
        if session != self._session:
            self._session, self._round, self._before, self._trained = session, 0, {}, {}
            nodes.restore(self._load())
        again = {
            c for c in clients if self._again(*self._trained.get(c, (0, since)), number, since)
        }
        if again:
            known = self._before if number == self._round else {}
            nodes.restore(_rolled(nodes.state(), known, again))
        if number > self._round:
            self._round, self._before = number, nodes.state()
        self._trained |= dict.fromkeys(clients, (number, since))

    @staticmethod
    def _again(trained: int, then: str, number: int, since: str) -> bool:
        return then != since and trained >= number

    def end(self, nodes: LocalNodes) -> None:
        """Store what clients keep now, if they keep anything."""
        now = nodes.state()
        if not now and not self._before:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._path
        whole: dict[str, Any] = {
            "round": np.array(self._round),
            "trained": np.array(json.dumps(self._trained)),
        }
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
            self._round = int(whole["round"])
            told = json.loads(str(whole["trained"]))
            self._trained = {client: (int(at), str(since)) for client, (at, since) in told.items()}
        except (OSError, ValueError, KeyError, BadZipFile):
            return {}
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


def _rolled(now: State, before: State, clients: Collection[str]) -> State:
    """Return the state in which these clients are where they were, and the others are now.

    A state names the clients of each kind, ``residual`` or ``personal``, and has a row for
    each of them in every ``<kind>.<tensor>``; see
    `aeros_core.federated.updates.client_state.ClientState.state`.
    """
    rolled: dict[str, Any] = {}
    for kind in {name for name in (*now, *before) if "." not in name}:
        rows = [(c, now, i) for i, c in enumerate(_names(now, kind)) if c not in clients]
        rows += [(c, before, i) for i, c in enumerate(_names(before, kind)) if c in clients]
        rows.sort(key=lambda row: row[0])
        if rows:
            rolled[kind] = json.dumps([client for client, _, _ in rows])
            tensors = [name for name in rows[0][1] if name.startswith(f"{kind}.")]
            rolled |= {
                name: np.stack([np.asarray(state[name])[i] for _, state, i in rows])
                for name in tensors
            }
    return rolled


def _names(state: State, kind: str) -> list[str]:
    names: list[str] = json.loads(str(state.get(kind, "[]")))
    return names

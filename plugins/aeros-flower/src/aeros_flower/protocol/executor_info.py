"""What an executor is."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aeros_core.tasks.infrastructure import Description

__all__ = ["ExecutorInfo"]


@dataclass(frozen=True, slots=True)
class ExecutorInfo:
    """What an executor is, and how it sees the task.

    Args:
        name: Its name, of which there is one among a controller's executors.
        own: Whether all its data are one client's, called by that name; otherwise it serves
            clients of the task's partition.
        settings: What it sets for itself, as ``transformer.table.path=FILE``.
        state: Folder for what its clients keep for themselves.
        description: What its owner says of it.
        data_root: Folder below which the paths of tasks are looked for; None: tasks name no file,
            unless the policy has such a folder.
        policy: File of the site's policy; None: the defaults hold.
        same_user: Whether its controller is of the user that it runs as, on this machine.
        address: ``HOST:PORT`` of the controller, where others connect to it.
    """

    name: str
    own: bool = False
    settings: tuple[str, ...] = ()
    state: Path = Path(".aeros/state")
    description: Description = field(default_factory=Description)
    data_root: Path | None = None
    policy: Path | None = None
    same_user: bool = False
    address: str = ""

    def to_node(self) -> dict[str, str | bool]:
        """Return it as the configuration of a SuperNode, which holds no lists."""
        said = self.description
        return {
            "name": self.name,
            "own": self.own,
            "set": shlex.join(self.settings),
            "state": str(self.state.resolve()),
            "tier": said.tier or "",
            "labels": shlex.join(f"{name}={value}" for name, value in said.labels.items()),
            "data": shlex.join(said.data),
            "data-root": "" if self.data_root is None else str(self.data_root.resolve()),
            "policy": "" if self.policy is None else str(self.policy.resolve()),
            "same-user": self.same_user,
            "address": self.address,
        }

    @classmethod
    def of_node(cls, config: Mapping[str, Any]) -> ExecutorInfo:
        """Return what the configuration of a SuperNode says; all of it may be missing."""
        told = {name: str(config.get(name, "")) for name in ("set", "tier", "labels", "data")}
        pairs = (word.partition("=") for word in shlex.split(told["labels"]))
        return cls(
            name=str(config.get("name", f"flower-{config.get('partition-id', 0)}")),
            own=bool(config.get("own", False)),
            settings=tuple(shlex.split(told["set"])),
            state=Path(str(config.get("state", ".aeros/state"))),
            description=Description(
                tier=told["tier"] or None,
                labels={name: value for name, _, value in pairs},
                data=shlex.split(told["data"]),
            ),
            data_root=Path(str(config["data-root"])) if config.get("data-root") else None,
            policy=Path(str(config["policy"])) if config.get("policy") else None,
            same_user=config.get("same-user") is True,
            address=str(config.get("address", "")),
        )

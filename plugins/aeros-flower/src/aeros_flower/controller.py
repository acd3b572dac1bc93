"""The controller that drives a task's rounds over Flower."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from aeros_core import elements, workflow
from aeros_core.errors import ConfigError, TaskError
from aeros_core.outcomes import Result, Status
from aeros_core.pipeline import Prepared
from aeros_core.powers import SupportsCodec
from aeros_core.records import Model
from aeros_core.roles import Components
from aeros_core.schema import Schema
from aeros_core.subtask import Kind
from aeros_core.task import Task
from aeros_core.words import counted
from aeros_flower import brief, neighbours
from aeros_flower.door import Door, Opened
from aeros_flower.job import digest
from aeros_flower.limits import Limits
from aeros_flower.nodes import FlowerNodes
from aeros_flower.plain import PlainPost
from aeros_flower.reach import split
from aeros_flower.roster import Member, Roster
from aeros_flower.start import PORT, is_loopback, say

__all__ = ["FlowerController", "judge", "note"]


class FlowerController:
    """Runs a task on executors that connect through Flower (``controller=flower``).

    The options are those of `aeros_flower.config.Flower`.

    Raises:
        ConfigError: An option is out of its range, or a port would be open to strangers.
    """

    def __init__(
        self,
        *,
        superlink: str | None,
        ca: str | None,
        host: str,
        port: int | None,
        nodes: int | None,
        only: Sequence[str],
        wait: float,
        certificate: str | None,
        key: str | None,
        admitted: str | None,
        insecure: bool,
        window_mb: int,
        stock: bool,
        app: str | None,
    ) -> None:
        port, nodes = _asked(*(split(superlink) if superlink else (host, port)), nodes)
        for name, value, least in (
            ("nodes", nodes, 1),
            ("wait", wait, 0),
            ("window_mb", window_mb, 1),
        ):
            if value < least:
                raise ConfigError(
                    f"controller.{name}={value} is below {least}", hint=f"controller.{name}={least}"
                )
        self._door = Door(
            superlink, ca, host, port, certificate, key, admitted, insecure, stock, app
        )
        self._expected, self._wait, self._only = nodes, wait, tuple(only)
        self._window, self._plain = window_mb * 2**20, app is not None

    def run(self, task: Task, parts: Components) -> Result:
        """Prepare the data, wait for executors, and have them train or answer.

        Raises:
            ConfigError: The parts do not fit, or executors cannot take part; nothing began.
            TaskError: No executor came in time, or the task could not go on.
        """
        parts.events.aeros_on_status(task=task, status=Status.SUBMITTED)
        data, model = workflow.prepare(task, parts)
        if model is not None and self._plain:
            raise ConfigError(
                "other people's ClientApps train and evaluate, they do not answer with a model",
                hint="controller.app=null, and aeros executor on the nodes",
            )
        link = self._door.open(self._wait)
        try:
            post = PlainPost(link, data.schema, _versions(parts)) if self._plain else link
            asked, judged = note(parts, model), judge(task, parts, data, model)
            roster = Roster(post, asked, judged, say, self._only)
            codec = parts.collector.codec if isinstance(parts.collector, SupportsCodec) else None
            limits = Limits(window=self._window, patience=self._wait)
            self._gather(link, roster, parts)
            parts.events.aeros_on_status(task=task, status=Status.PLANNED)
            nodes = FlowerNodes(post, roster, data.partition, codec, limits)
            return workflow.run(task, parts, nodes, data, model)
        finally:
            link.close()

    def _gather(self, link: Opened, roster: Roster, parts: Components) -> None:
        """Wait until as many executors are ready as were asked for.

        Raises:
            ConfigError: Too few can take part, and others said why not.
            TaskError: Too few came in time.
        """
        ends = time.monotonic() + self._wait
        told = False
        while True:
            parts.control.check()
            roster.refresh()
            able = [m for m in roster.members.values() if not m.problem]
            left = ends - time.monotonic()
            if len(able) >= self._expected and (not roster.preparing or left <= 0):
                return
            if left <= 0:
                break
            if (
                roster.unfit
                and not roster.preparing
                and len(roster.unfit) + len(able) >= self._expected
            ):
                break
            if not told:
                say(f"waiting at {link.address} for {counted(self._expected, 'executor')}")
                told = True
            link.wait(min(left, 0.5))
        if roster.unfit:
            raise ConfigError(
                "executors cannot take part: "
                + "; ".join(f"{name}: {why}" for name, why in sorted(roster.unfit.items())),
                hint="mend this where they run, and start them again",
            )
        silent = f"{counted(roster.preparing, 'node')} did not answer" if roster.preparing else ""
        raise TaskError(
            f"{len(able)} of {counted(self._expected, 'executor')} came within {self._wait:g} s",
            exists=silent and f"{silent}: Flower's own SuperNodes need controller.stock=true",
            hint=f"aeros up --nodes {self._expected}, or on each machine: aeros executor"
            f" {link.address}; controller.wait=SECONDS waits longer",
        )


def _asked(host: str, port: int | None, nodes: int | None) -> tuple[int, int]:
    """Return port and number of executors: as asked, or those that stand by here."""
    found = neighbours.standing(neighbours.FOLDER) if is_loopback(host) else None
    if found is None or port not in (None, found.port):
        return port or PORT, 1 if nodes is None else nodes
    return found.port, found.nodes if nodes is None else nodes


def note(parts: Components, model: Model | None = None) -> Any:
    """Return the message that asks an executor to prepare for a task.

    Args:
        parts: For the configuration.
        model: What executors are to answer with; None: they are to train.
    """
    names = ("task", "transformer", "trainer" if model is None else "inferencer")
    config = {name: parts.config.get(name) for name in names}
    config["collector"] = {"codec": (parts.config.get("collector") or {}).get("codec")}
    return brief.pack_preparation(parts.identity, config, model)


def judge(
    task: Task, parts: Components, data: Prepared, model: Model | None = None
) -> Callable[[Member], str]:
    """Return what holds an executor against what the task needs."""
    here, wanted = digest(data.partition), _versions(parts, model)
    kind = Kind.train if model is None else Kind.infer

    def judged(member: Member) -> str:
        has = member.versions
        other = [
            f"{name} {version} is needed, it has {has.get(name, 'none')}"
            for name, version in wanted.items()
            if has.get(name) != version
        ]
        if other or member.told.get("error"):
            return "; ".join(other) or str(member.told["error"])
        for subtask in task.subtasks.values():
            lines = elements.unmet(subtask.requires, member.element, has)
            if subtask.kind is kind and lines:
                return "it lacks " + "; ".join(lines)
        there = Schema.from_json(member.told["schema"])
        if model is not None and member.own:
            return ""  # it has held its rows against the model itself
        if lines := there.mismatches(data.schema):
            return "its data are other data: " + "; ".join(lines)
        if not member.own and member.told.get("digest") != here:
            return "its data are other data: they are cut into other clients"
        return ""

    return judged


def _versions(parts: Components, model: Model | None = None) -> dict[str, str]:
    """Return the versions of what a node needs: the core, and who offers its parts."""
    config = parts.config
    if model is None:
        chosen = [config.get("trainer"), (config.get("trainer") or {}).get("model")]
    else:
        chosen = [config.get("inferencer"), model.module, *model.transformers.values()]
    chosen += (config.get("transformer") or {}).values()
    chosen.append((config.get("collector") or {}).get("codec"))
    packages = {str(node.get("_target_")).partition(".")[0] for node in chosen if node}
    return {
        name: version
        for name, version in parts.versions.items()
        if name.replace("-", "_") in packages | {"aeros_core"}
    }

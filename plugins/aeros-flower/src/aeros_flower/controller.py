"""The controller that drives a task's rounds over Flower."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from aeros_core import elements, pipeline
from aeros_core.errors import ConfigError, TaskError
from aeros_core.outcomes import Result, Status
from aeros_core.pipeline import Prepared
from aeros_core.powers import SupportsCodec
from aeros_core.roles import Components
from aeros_core.rounds import Rounds
from aeros_core.schema import Schema
from aeros_core.task import Kind, Task
from aeros_core.words import counted
from aeros_flower import neighbours, wire
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
        """Prepare the data, wait for executors, and run the rounds on them.

        Raises:
            ConfigError: The parts do not fit, or executors cannot take part; nothing began.
            TaskError: No executor came in time, or the task could not go on.
        """
        parts.events.aeros_on_status(task=task, status=Status.SUBMITTED)
        data = pipeline.prepare(parts.transformers, task.seed)
        pipeline.check_schema(parts.trainer, data.schema)
        link = self._door.open(self._wait)
        try:
            post = PlainPost(link, data.schema, _versions(parts)) if self._plain else link
            roster = Roster(post, note(parts), judge(task, parts, data), say, self._only)
            codec = parts.collector.codec if isinstance(parts.collector, SupportsCodec) else None
            limits = Limits(window=self._window, patience=self._wait)
            self._gather(link, roster, parts)
            parts.events.aeros_on_status(task=task, status=Status.PLANNED)
            nodes = FlowerNodes(post, roster, data.partition, codec, limits)
            return Rounds(task, parts, nodes, data).run()
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


def note(parts: Components) -> Any:
    """Return the message that asks an executor to prepare for a task."""
    config = {name: parts.config.get(name) for name in ("task", "trainer", "transformer")}
    config["collector"] = {"codec": (parts.config.get("collector") or {}).get("codec")}
    return wire.pack_note("prepare", {"identity": parts.identity, "config": config})


def judge(task: Task, parts: Components, data: Prepared) -> Callable[[Member], str]:
    """Return what holds an executor against what the task needs."""
    here, wanted = digest(data.partition), _versions(parts)

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
            if subtask.kind is Kind.train and lines:
                return "it lacks " + "; ".join(lines)
        there = Schema.from_json(member.told["schema"])
        if lines := there.mismatches(data.schema):
            return "its data are other data: " + "; ".join(lines)
        if not member.own and member.told.get("digest") != here:
            return "its data are other data: they are cut into other clients"
        return ""

    return judged


def _versions(parts: Components) -> dict[str, str]:
    """Return the versions of what a node needs: the core, and who offers its parts."""
    config = parts.config
    chosen = [config.get("trainer"), (config.get("trainer") or {}).get("model")]
    chosen += (config.get("transformer") or {}).values()
    chosen.append((config.get("collector") or {}).get("codec"))
    packages = {str(node.get("_target_")).partition(".")[0] for node in chosen if node}
    return {
        name: version
        for name, version in parts.versions.items()
        if name.replace("-", "_") in packages | {"aeros_core"}
    }

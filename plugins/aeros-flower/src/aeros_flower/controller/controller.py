"""The controller that drives a task's rounds over Flower."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from aeros_core.controllers import execution
from aeros_core.errors import ConfigError
from aeros_core.federated.updates.validation import MOST_EXAMPLES
from aeros_core.fields.alignment import SourceSchema
from aeros_core.options.choices import distribution_of
from aeros_core.records import Model
from aeros_core.results import Result, Status
from aeros_core.roles.collector import SupportsCodec
from aeros_core.roles.components import Components
from aeros_core.tasks import infrastructure, waiting
from aeros_core.tasks.subtask import Kind
from aeros_core.tasks.task import Task
from aeros_flower.cluster import local_cluster
from aeros_flower.cluster.local_cluster import Standing
from aeros_flower.controller.flower_app import FlowerApp
from aeros_flower.controller.join_hints import JoinHints
from aeros_flower.controller.limits import Limits
from aeros_flower.controller.nodes import FlowerNodes
from aeros_flower.controller.schema_agreement import Agreement, differences_of
from aeros_flower.controller.waiting import Gathering
from aeros_flower.membership.executors import ConnectedExecutor, Executors
from aeros_flower.protocol import preparation
from aeros_flower.protocol.data_plan import DataPlan
from aeros_flower.superlink.embedded import EmbeddedSuperLink
from aeros_flower.superlink.endpoint import EndpointOptions
from aeros_flower.superlink.plain_nodes import PlainTransport, aside
from aeros_flower.system.address import split
from aeros_flower.system.network import PORT, is_loopback, say

__all__ = ["FlowerController", "choose", "judge", "note"]


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
        folder: str,
        only: Sequence[str],
        wait: float,
        certificate: str | None,
        key: str | None,
        admitted: str | None,
        insecure: bool,
        window_mb: int,
        stock: bool,
        app: str | None,
        train_config: Mapping[str, Any] | None,
        run_config: Mapping[str, Any] | None,
    ) -> None:
        where = split(superlink) if superlink else (host, port)
        found = _standing(Path(folder), *where)
        port = found.port if found else where[1] or PORT
        stands = found is not None and found.controller
        if nodes is None:
            nodes = _meant(found.names, only) if found else 1
        for name, value, least in (
            ("nodes", nodes, 1),
            ("wait", wait, 0),
            ("window_mb", window_mb, 1),
        ):
            if value < least:
                raise ConfigError(
                    f"controller.{name}={value} is below {least}", hint=f"controller.{name}={least}"
                )
        self._door = EndpointOptions(
            superlink, ca, host, port, certificate, key, admitted, insecure, stock, app,
            local_cluster.cluster_folder(Path(folder)) if stands and superlink is None else None,
        )  # fmt: skip
        self._invitation = JoinHints(
            ca or certificate, admitted is not None, insecure, app is not None, found is not None,
            Path(folder),
        )  # fmt: skip
        self._expected, self._wait, self._only = nodes, wait, tuple(only)
        self._window, self._plain = window_mb * 2**20, app is not None
        told = ({} if given is None else given for given in (train_config, run_config))
        self._app = FlowerApp(app, *told)

    def run(self, task: Task, parts: Components) -> Result:
        """Prepare the data, wait for executors, and have them train or answer.

        Raises:
            ConfigError: The parts do not fit, or executors cannot take part; nothing began.
            TaskError: No executor came in time, or the task could not go on.
        """
        parts.events.aeros_on_status(task=task, status=Status.SUBMITTED)
        data, model = execution.prepare(task, parts)
        if model is not None and self._plain:
            raise ConfigError(
                "other people's ClientApps train and evaluate, they do not answer with a model",
                hint="controller.app=null, and aeros executor on the nodes",
            )
        with self._app.configured() as app, waiting.hearing(parts.control.check):
            link = replace(self._door, app=app).open(self._wait)
        try:
            config = self._app.train_config
            post = PlainTransport(link, data.schema, config) if self._plain else link
            ask = functools.partial(note, parts, model)
            known = None if self._plain or model else Agreement(task, parts, data, ask)
            judged = judge(parts, model, known, plain=self._plain)
            chosen = choose(task, model, self._only, plain=self._plain)
            admitted = link.admitted if isinstance(link, EmbeddedSuperLink) else lambda _: ""
            asked = ask() if known is None else known.message()
            roster = Executors(post, asked, judged, say, chosen, admitted)
            codec = parts.collector.codec if isinstance(parts.collector, SupportsCodec) else None
            limits = Limits(window=self._window, patience=self._wait)
            here = Gathering(link, roster, self._expected, self._wait, self._invitation)
            here.wait(parts.control.check)
            if known is not None:
                data = known.reach(roster, post, self._wait, parts.control.check)
                here.wait(parts.control.check)
            parts.events.aeros_on_status(task=task, status=Status.PLANNED)
            kept = {} if known is None else known.state()
            nodes = FlowerNodes(post, roster, data.partition, codec, limits, kept)
            return execution.run(task, parts, nodes, data, model)
        finally:
            link.close()


def _standing(folder: Path, host: str, port: int | None) -> Standing | None:
    """Return what `aeros up` started for that address; None if nothing.

    Raises:
        ConfigError: A folder is named that it started nothing from.
    """
    found = local_cluster.standing(folder) if is_loopback(host) else None
    if found is None and folder != local_cluster.FOLDER:
        raise ConfigError(
            f"controller.folder={folder}: nothing that aeros up started from there lives",
            hint=f"aeros up --folder {folder}, or leave controller.folder out",
        )
    return found if found is not None and port in (None, found.port) else None


def _meant(names: Sequence[str], only: Sequence[str]) -> int:
    return max(sum(_is_meant(name, only) for name in names), 1)


def _is_meant(name: str, only: Sequence[str]) -> bool:
    return not only or any(fnmatchcase(name, pattern) for pattern in only)


def note(parts: Components, model: Model | None = None, plan: DataPlan | None = None) -> Any:
    """Return the message that asks an executor to prepare for a task.

    Args:
        parts: For the configuration.
        model: What executors are to answer with; None: they are to train.
        plan: What executors that train bring their data to.
    """
    names = ("task", "transformer", "trainer" if model is None else "inferencer")
    config = {name: parts.config.get(name) for name in names}
    config["collector"] = {"codec": (parts.config.get("collector") or {}).get("codec")}
    return preparation.pack_preparation(parts.identity, config, model, plan)


def judge(
    parts: Components,
    model: Model | None = None,
    agreement: Agreement | None = None,
    *,
    plain: bool = False,
) -> Callable[[ConnectedExecutor], str]:
    """Return what holds an executor, or a plain node of Flower, against what the task needs.

    Args:
        parts: For the versions of what a node needs.
        model: What executors are to answer with; None: they are to train.
        agreement: The schema that their data are brought to, where they train.
        plain: Whether nodes are Flower's own, of which nothing is known.
    """
    wanted = {} if plain else _versions(parts, model)

    def judged(member: ConnectedExecutor) -> str:
        has = member.versions
        other = [
            f"{name} {version} is needed, it has {has.get(name, 'none')}"
            for name, version in wanted.items()
            if has.get(name) != version
        ]
        if other:
            return "; ".join(other)
        if agreement is not None and (why := agreement.problem(member)):
            return why
        pending = agreement is not None and member.told.get("unknown")
        if member.told.get("error") and not pending:
            return _answering(member, model) or str(member.told["error"])
        if member.own and not plain and not pending and not 0 < member.examples <= MOST_EXAMPLES:
            return "it does not state how many examples it has, 1 or more"
        if differs := member.told.get("differs"):
            return f"its data are not the task's own: other {', '.join(map(str, differs[:20]))}"
        return ""

    return judged


def _answering(member: ConnectedExecutor, model: Model | None) -> str:
    """Return how rows of an executor are not what a model takes, by what it says of them."""
    if model is None or "missing" not in member.told:
        return ""
    lines = differences_of(member.told, SourceSchema(model.inputs or model.schema)).lines()
    return f"the data are not what model '{model.name}' takes: {'; '.join(lines)}" if lines else ""


def choose(
    task: Task, model: Model | None = None, only: Sequence[str] = (), *, plain: bool = False
) -> Callable[[ConnectedExecutor], str]:
    """Return what says why an executor is not asked: its name, or what the task requires.

    Args:
        task: Whose sub-tasks say what they require.
        model: What executors are to answer with; None: they are to train.
        only: Names, or patterns of names, of those that may take part; none: all.
        plain: Whether somebody's Flower app is run, which executors do not.
    """
    kind = Kind.train if model is None else Kind.infer

    def chosen(member: ConnectedExecutor) -> str:
        if plain and (why := aside(member.told)):
            return why
        if not _is_meant(member.name, only):
            return "it is not among controller.only"
        for subtask in task.subtasks.values():
            lines = infrastructure.unmet(subtask.requires, member.element, member.versions)
            if subtask.kind == kind and lines:
                return "it lacks " + "; ".join(lines)
        return ""

    return chosen


def _versions(parts: Components, model: Model | None = None) -> dict[str, str]:
    """Return the versions of what a node needs: the core, and who offers its parts."""
    config = parts.config
    if model is None:
        chosen = [config.get("trainer"), (config.get("trainer") or {}).get("model")]
    else:
        chosen = [config.get("inferencer"), model.module, *model.transformers.values()]
    chosen += (config.get("transformer") or {}).values()
    chosen.append((config.get("collector") or {}).get("codec"))
    packages = {distribution_of(node) for node in chosen if node}
    return {n: v for n, v in parts.versions.items() if n in packages | {"aeros-core"}}

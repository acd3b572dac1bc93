"""From a composed configuration to the objects it chose.

Only what a plugin registered for a role is built: a ``_target_`` from a file or from the
command line that was not registered is refused, so configuration can never run code. What is
stored and sent names roles and options (`aeros_core.config.naming`), never classes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from aeros_core.config import graph_members, store
from aeros_core.config.instantiate import build_module, build_part, check_protocol
from aeros_core.config.naming import inner_group, name_parts
from aeros_core.errors import ConfigError, PluginError
from aeros_core.files.data_files import ANYWHERE, FileAccess
from aeros_core.inference.service import Service
from aeros_core.models import references
from aeros_core.options.choices import is_choice, shown
from aeros_core.plugins import discovery
from aeros_core.plugins.registry import Option, Registry, versions
from aeros_core.records import Model
from aeros_core.roles.codec import Codec
from aeros_core.roles.collector import Collector
from aeros_core.roles.components import Components
from aeros_core.roles.controller import Controller
from aeros_core.roles.inferencer import Inferencer, SupportsMembers
from aeros_core.roles.repository import ModelSource, Repository
from aeros_core.roles.stateful import SupportsState
from aeros_core.roles.trainer import Trainer
from aeros_core.roles.transformer import Partitioner, Source, SupportsInverse, Transformer
from aeros_core.tasks import identity
from aeros_core.tasks.control import Control
from aeros_core.tasks.task import Task

__all__ = [
    "Job",
    "build",
    "build_codec",
    "build_module",
    "build_part",
    "build_service",
    "build_steps",
    "task_of",
]


@dataclass(frozen=True, slots=True)
class Job:
    """A task, and everything that is needed to run it."""

    task: Task
    controller: Controller
    parts: Components


def build(
    cfg: DictConfig,
    registry: Registry,
    *,
    listeners: Iterable[object] = (),
    control: Control | None = None,
) -> Job:
    """Build what a composed configuration chose.

    Args:
        cfg: The configuration of ``aeros run``.
        registry: What is installed.
        listeners: Objects that hear events beside the chosen callbacks.
        control: Pause and cancel from outside.

    Raises:
        ConfigError: An option is out of its range, or something foreign would be built.
    """
    task = task_of(cfg)
    data = name_parts(registry, store.plain(cfg))
    data.pop("hydra", None)
    decisive = functools.partial(_decisive, registry)
    repository = _role(registry, data, "repository", Repository)
    if task.start is not None:  # a tag may have moved when the task is resumed
        task = dataclasses.replace(task, start=references.resolve(task.start, repository))
        data["task"]["start"] = task.start
    callbacks = [*_many(registry, data, "callback", object).values(), *listeners]
    parts = Components(
        collector=_collector(registry, data),
        repository=repository,
        trainer=_role(registry, data, "trainer", Trainer),
        transformers=_many(registry, data, "transformer", Transformer | Source | Partitioner),
        events=discovery.event_relay(callbacks),
        config=data,
        identity=identity.digest(decisive(data)),
        versions=versions(registry, _options(registry, data)),
        control=control or Control(),
        serve=functools.partial(_service, registry, data, repository, callbacks),
        decisive=decisive,
    )
    return Job(task, _role(registry, data, "controller", Controller), parts)


def _decisive(registry: Registry, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the result of a configuration, composed now or stored long ago."""
    return identity.decisive(name_parts(registry, data), registry.defaults)


def task_of(cfg: DictConfig) -> Task:
    """Return the task of a composed configuration.

    Raises:
        ConfigError: One of its options is out of its range.
    """
    try:
        task = OmegaConf.to_object(cfg.task)
    except OmegaConfBaseException as error:
        if isinstance(error.__cause__, ConfigError):
            raise error.__cause__ from None
        raise
    except (AttributeError, TypeError) as error:  # + adds what the dataclass does not have
        unknown = ", ".join(_added(cfg.task, "task")) or "an option of task"
        raise ConfigError(
            f"{unknown} does not exist",
            exists=", ".join(field.name for field in dataclasses.fields(Task)),
            hint="leave out what was added with a +",
        ) from error
    if not isinstance(task, Task):
        raise ConfigError("task is not a task", exists="task=federated")
    return task


def _added(node: Any, path: str) -> Iterator[str]:
    """Yield the keys that the dataclass behind a node does not have."""
    kind: Any = OmegaConf.get_type(node)
    typed = dataclasses.is_dataclass(kind)
    known = {field.name for field in dataclasses.fields(kind)} if typed else set()
    for key in node:
        if typed and key not in known:
            yield f"{path}.{key}"
        elif isinstance(node._get_node(key), DictConfig) and node[key] is not None:
            yield from _added(node[key], f"{path}.{key}")


def _role(registry: Registry, data: Mapping[str, Any], role: str, kind: Any) -> Any:
    node = data.get(role)
    if not node:
        raise ConfigError(
            f"no {role} is chosen",
            exists=", ".join(registry.names(role)),
            hint=f"{role}=<one of these>",
        )
    part = build_part(registry, role, node)
    check_protocol(part, kind, role, shown(node))
    return part


def _collector(registry: Registry, data: Mapping[str, Any]) -> Any:
    node = dict(data.get("collector") or {})
    node.pop("codec", None)
    collector = _role(registry, {"collector": node}, "collector", Collector)
    if codec := build_codec(registry, data):
        collector.codec = codec
    return collector


def build_codec(
    registry: Registry, data: Mapping[str, Any], files: FileAccess = ANYWHERE
) -> Codec | None:
    """Return the codec that goes with the collector of a plain configuration, if any does.

    Raises:
        PluginError: It was not registered for ``collector/codec``.
        ConfigError: An option is out of its range.
    """
    node = (data.get("collector") or {}).get("codec")
    if not node:
        return None
    codec = build_part(registry, "collector/codec", node, files=files)
    check_protocol(codec, Codec, "codec", shown(node))
    return cast("Codec", codec)


def _many(registry: Registry, data: Mapping[str, Any], group: str, kind: Any) -> dict[str, Any]:
    parts = {}
    for name, node in (data.get(group) or {}).items():
        parts[name] = build_part(registry, group, node, name)
        check_protocol(parts[name], kind, group, name)
    return parts


def build_service(
    registry: Registry,
    model: Model,
    inferencer: Mapping[str, Any],
    listeners: Sequence[object] = (),
    repository: ModelSource | None = None,
    files: FileAccess = ANYWHERE,
) -> Service:
    """Build what answers with a stored model: its steps as they were fitted, an inferencer.

    An inferencer that asks others (`SupportsMembers`) is given the raw batch, and each of
    them prepares it for itself.

    Args:
        registry: What is installed.
        model: The model, as the repository delivered it.
        inferencer: Which inferencer it is (`aeros_core.options.choices`), and its options.
        listeners: Objects that hear of every answer.
        repository: Where members that name a model of their own find it.
        files: Which files the options of what is built may name.

    Raises:
        PluginError: A step, the module or the inferencer is not installed here.
        ConfigError: A member names a model, and there is no repository.
    """
    answering: Inferencer = build_part(registry, "inferencer", inferencer, files=files)
    check_protocol(answering, Inferencer, "inferencer", shown(inferencer))
    if isinstance(answering, SupportsMembers):
        build = functools.partial(build_service, registry, files=files)
        graph_members.attach_members(answering, registry, repository, build)
        answering.load(model)
        return Service(model, (), answering, discovery.event_relay(listeners))
    chain = build_steps(registry, model, files)
    try:
        module = build_module(registry, model.module, files)
    except PluginError as error:
        raise _of_whom(model, registry, error) from error
    answering.load(model, module)
    after = [step for step in reversed(chain.values()) if isinstance(step, SupportsInverse)]
    steps = [step for name, step in chain.items() if name not in model.behind]
    return Service(model, steps, answering, discovery.event_relay(listeners), after)


def _service(
    registry: Registry,
    data: Mapping[str, Any],
    repository: Repository,
    listeners: Sequence[object],
    model: Model,
) -> Service:
    """Return what answers with a model as ``inferencer`` says, or as is usual for such a model."""
    node = data.get("inferencer") or graph_members.default_inferencer(registry, model)
    return build_service(registry, model, node, listeners, repository)


def build_steps(
    registry: Registry, model: Model, files: FileAccess = ANYWHERE
) -> dict[str, Transformer]:
    """Build a model's transformers by name, in the state in which they were fitted.

    Raises:
        PluginError: One of them is not installed here.
    """
    steps: dict[str, Transformer] = {}
    for name, node in model.transformers.items():
        try:
            steps[name] = build_part(registry, "transformer", node, name, files)
        except PluginError as error:
            raise _of_whom(model, registry, error) from error
        if name in model.fitted and isinstance(step := steps[name], SupportsState):
            step.restore(model.fitted[name])
    return steps


def _of_whom(model: Model, registry: Registry, error: PluginError) -> PluginError:
    """Return the error with the packages that a model had when it was stored, and that are gone."""
    here = versions(registry)
    gone = [f"{n} {v}" for n, v in model.versions.items() if n not in here and n != "python"]
    if not gone:
        return error
    return PluginError(
        f"model '{model.name}': {error.asked}",
        exists=error.exists,
        provider=f"{', '.join(gone)} had it when the model was stored",
        hint="install what had it, or --plugin FILE.py; aeros plugins shows what is installed",
    )


def _options(registry: Registry, data: Mapping[str, Any]) -> list[Option]:
    """Return the option of every part that was chosen, and of those within them."""
    nodes = [
        (role, data.get(role), "")
        for role in ("controller", "collector", "repository", "trainer", "inferencer")
    ]
    nodes += [(g, node, name) for g in store.MANY for name, node in (data.get(g) or {}).items()]
    return [one for group, node, name in nodes for one in _within(registry, group, node, name)]


def _within(registry: Registry, group: str, node: Any, name: str = "") -> Iterator[Option]:
    if not isinstance(node, Mapping):
        return
    if is_choice(node) and (option := registry.chosen(group, node, name)):
        yield option
    for key, value in node.items():
        yield from _within(registry, inner_group(registry, group, key, value), value)

"""What an executor builds from the task's configuration, and does with instructions."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

import numpy as np

from aeros_core import seeding
from aeros_core.config import build, graph_members
from aeros_core.config.instantiate import build_module, build_part, check_protocol
from aeros_core.controllers.local import LocalNodes
from aeros_core.data import Partition
from aeros_core.errors import ConfigError
from aeros_core.federated.synchronous import NO_TIME
from aeros_core.fields.alignment import Differences
from aeros_core.files.data_files import ANYWHERE, FileAccess
from aeros_core.inference import federated
from aeros_core.inference.service import Service
from aeros_core.inference.worker import InferenceWorker
from aeros_core.messages import Failure, Instruction, Reply, State, Update
from aeros_core.parameters import Layout, Parameters
from aeros_core.plugins.registry import Registry
from aeros_core.preprocessing import pipeline
from aeros_core.preprocessing.pipeline import Prepared
from aeros_core.preprocessing.source_data import Loaded, load
from aeros_core.records import Model
from aeros_core.roles.trainer import Trainer
from aeros_core.roles.transformer import Partitioner
from aeros_core.tasks.subtask import Kind, Subtask
from aeros_core.tasks.task import Evaluating, InferenceOutput, InferenceSplit, Task
from aeros_flower.protocol.data_plan import DataPlan, digest

__all__ = ["TaskJob"]

_Found = TypeVar("_Found")


class TaskJob:
    """Trainer, data and codec of one task on this executor; warm from round to round.

    Args:
        registry: What is installed here; nothing else is built.
        config: The task's configuration as plain data, with what this executor sets itself.
        client: Name of the one client that all data here belong to; None: this executor
            serves any of the clients that the task's partition has.
        model: What it is to answer with, without its parameters; None: it is to train.
        files: Which files these configurations may name.
        plan: What data of one client's are brought to, and others are held against; None: the
            data here decide, and steps are fitted to them.

    Raises:
        SchemaMismatch: The data cannot be brought to the task's schema.
        AerosError: A plugin is missing, or the data cannot be used.
    """

    def __init__(
        self,
        registry: Registry,
        config: Mapping[str, Any],
        client: str | None,
        model: Model | None = None,
        files: FileAccess = ANYWHERE,
        plan: DataPlan | None = None,
    ) -> None:
        task = _task(config.get("task") or {}, model)
        steps = {
            name: build_part(registry, "transformer", node, name, files)
            for name, node in (config.get("transformer") or {}).items()
        }
        if client is not None and plan is None:
            steps = {n: step for n, step in steps.items() if not isinstance(step, Partitioner)}
        self._steps, self._task, self._client, self._plan = steps, task, client, plan
        self._codec = build.build_codec(registry, config, files)
        self.sending: dict[str, object] = {}
        self._loaded: Loaded | None = None
        self._data: Prepared | None = None
        self._nodes: LocalNodes | None = None
        self._worker: Trainer | InferenceWorker
        if model is not None:
            self._worker = _answering(registry, config, model, task.collect, files)
            self._use(federated.prepare(steps, task, model))
            return
        self._worker = trainer = _trainer(registry, config, files)
        self.sending = {"trainer": trainer}
        if client is None or plan is None:
            data = pipeline.prepare(steps, task.seed)
            pipeline.check_schema(trainer, data.schema)
            self._use(data)
            return
        fitted = pipeline.fitted_steps(steps)
        self.sending |= {f"transformer.{name}": step for name, step in fitted.items()}
        self._loaded = load(steps, plan.source)
        pipeline.check_schema(trainer, pipeline.output_schema(steps, self._loaded))
        self.complete({} if not fitted else plan.fitted)

    def complete(self, fitted: Mapping[str, State] | None) -> None:
        """Apply the steps as they were fitted to the rows of all nodes; None: they are not yet.

        Raises:
            AerosError: The states are not those of the steps.
        """
        if fitted is not None and self._loaded is not None:
            seed = self._task.seed
            self._use(pipeline.apply(self._steps, self._loaded, seed, fitted=fitted, cut=False))

    def summarise(self, step: str, fitted: Mapping[str, State]) -> State:
        """Return the summary of the rows here from which a step is fitted.

        Args:
            step: Its name.
            fitted: States of the fitted steps before it.

        Raises:
            ConfigError: Data here are not one client's, or there is no such step.
        """
        if self._loaded is None:
            raise ConfigError("steps are fitted to data that are one client's")
        return pipeline.summarise(self._steps, self._loaded, fitted, step)

    def _use(self, data: Prepared) -> None:
        if self._client is not None:
            rows = len(data.train)
            whole = Partition(np.arange(rows), np.array([0, rows]), (self._client,))
            data = replace(data, partition=whole)
        self._data = data
        self._nodes = LocalNodes(self._task, self._worker, data, self._codec)

    @property
    def prepared(self) -> Prepared:
        """The data behind the last step.

        Raises:
            ConfigError: The steps are not fitted yet.
        """
        return _fitted(self._data)

    @property
    def nodes(self) -> LocalNodes:
        """The clients here.

        Raises:
            ConfigError: The steps are not fitted yet.
        """
        return _fitted(self._nodes)

    def initial(self) -> Parameters:
        """Return the parameters that the task starts from.

        Raises:
            ConfigError: It answers with a stored model.
        """
        if isinstance(self._worker, InferenceWorker):
            raise ConfigError("this task trains nothing: it answers with a stored model")
        seed = seeding.seed(self._task.seed, "model")
        return self._worker.initialise(self.prepared.schema, seed)

    @cached_property
    def layout(self) -> Layout:
        """Layout of the model's parameters."""
        return self.initial().layout

    def rows(self, client: str) -> int:
        """Return how many rows a client has here; 0 for one that is unknown."""
        return self._sizes.get(client, 0)

    @property
    def _sizes(self) -> dict[str, int]:
        if self._data is None:
            return {str(self._client): self.loaded_rows}
        sizes = self._data.partition.sizes.tolist()
        return {self.nodes.name(number): rows for number, rows in enumerate(sizes)}

    @property
    def loaded_rows(self) -> int:
        """Rows of the one client's data before the first step."""
        return 0 if self._loaded is None else len(self._loaded.train)

    @property
    def fewest(self) -> dict[str, int]:
        """Rows of the client that has fewest, by its name."""
        if self._data is None:
            return self._sizes
        sizes = self._data.partition.sizes
        return {self.nodes.name(int(sizes.argmin())): int(sizes.min())}

    @property
    def differences(self) -> Differences:
        """How the data differed from the task's schema before they were brought to it."""
        return Differences() if self._loaded is None else self._loaded.differences

    @property
    def summary(self) -> dict[str, Any]:
        """What the controller is told of the data: numbers, and whether they are the task's own."""
        if self._data is None:
            return {"clients": 1, "examples": self.loaded_rows, "differs": []}
        sizes = self._data.partition.sizes
        return {
            "clients": len(self._data.partition),
            "examples": int(sizes.sum()),
            "differs": self._differs(self._data),
        }

    def _differs(self, data: Prepared) -> list[str]:
        """Return what of the task's own data is another here: fields by name, and clients."""
        plan = self._plan
        if plan is None or self._client is not None or data.agreed is None:
            return []
        here, there = data.agreed.schema, plan.source.schema
        fields = [one.name for one in there.fields if one.name not in here or here[one.name] != one]
        names = [f"column '{name}'" for name in fields]
        names += ["columns"] * (not names and here != there)
        return names + ["clients"] * (digest(data.partition) != plan.clients)

    def follow(
        self, instructions: Sequence[Instruction], stopped: Callable[[], bool]
    ) -> Iterator[Reply]:
        """Yield the reply to each instruction; those for which no time is left fail."""
        limit, began = instructions[0].deadline, time.monotonic()
        ends = None if limit is None else began + limit
        left = {told.node: told for told in instructions}
        try:
            self.nodes.dispatch(instructions)
            while left and not stopped():
                reply = self.nodes.receive(None if ends is None else ends - time.monotonic())
                if reply is None:
                    break
                left.pop(reply.node, None)
                yield _timed(reply, time.monotonic() - began)
            why = NO_TIME
        except Exception as error:
            why = f"{type(error).__name__}: {error}"
        self.nodes.abandon()
        yield from (Failure(told.node, told.round, why) for told in left.values())


def _task(told: Mapping[str, Any], model: Model | None) -> Task:
    """Return what of a task matters on a node."""
    task = Task(
        name=told.get("name", "task"),
        seed=told.get("seed", 0),
        evaluation=Evaluating(**(told.get("evaluation") or {})),
    )
    if model is None:
        return task
    collect = InferenceOutput[told.get("collect", InferenceOutput.statistics.name)]
    split = InferenceSplit[told.get("split", InferenceSplit.all.name)]
    subtasks = {"infer": Subtask(kind=Kind.infer.value)}
    return replace(task, collect=collect, split=split, subtasks=subtasks)


def _trainer(registry: Registry, config: Mapping[str, Any], files: FileAccess) -> Trainer:
    node = config.get("trainer") or {}
    trainer: Trainer = build_part(registry, "trainer", node, files=files)
    check_protocol(trainer, Trainer, "trainer", "what is chosen")
    return trainer


def _answering(
    registry: Registry,
    config: Mapping[str, Any],
    model: Model,
    collect: InferenceOutput,
    files: FileAccess,
) -> InferenceWorker:
    """Return what answers; what it needs and is not installed here is told at once."""
    node = config.get("inferencer") or graph_members.default_inferencer(registry, model)
    build_part(registry, "inferencer", node, files=files)
    build_module(registry, model.module, files)
    for name, step in model.transformers.items():
        build_part(registry, "transformer", step, name, files)

    def serve(parameters: Parameters) -> Service:
        whole = replace(model, parameters=parameters)
        return build.build_service(registry, whole, node, files=files)

    return InferenceWorker(serve, model.schema, collect)


def _timed(reply: Reply, seconds: float) -> Reply:
    """Return a reply that says how long all was worked at so far, for those who watch."""
    if not isinstance(reply, Update):
        return reply
    return replace(reply, scalars={**reply.scalars, "seconds": seconds})


def _fitted(found: _Found | None) -> _Found:
    if found is None:
        raise ConfigError("the steps of this task are not fitted yet")
    return found

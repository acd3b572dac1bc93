"""Hold what the configuration chose for one task, built."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aeros_core.records import Model
from aeros_core.roles.collector import Collector
from aeros_core.roles.events import Events
from aeros_core.roles.inferencer import Predictor
from aeros_core.roles.repository import Repository
from aeros_core.roles.trainer import Trainer
from aeros_core.roles.transformer import Partitioner, Source, Transformer
from aeros_core.tasks.control import Control

__all__ = ["Components"]


@dataclass(frozen=True, slots=True)
class Components:
    """What the configuration chose for one task, built.

    Args:
        collector: Combines the updates.
        repository: Keeps rounds and models.
        trainer: Trains and evaluates.
        transformers: Source, steps and partitioner by name, in order.
        events: Where to report.
        config: The resolved configuration as plain data; what travels to other processes.
        identity: Digest of everything in it that decides the result.
        versions: Versions of Python, aeros-core and the plugins chosen.
        control: Pause and cancel from outside.
        serve: Makes what answers with a model of the repository; None where the task was
            put together by hand and only trains.
        decisive: Returns what in a configuration decides the result, by which a run that was
            begun by another version is known again; None: by its stored identity.
    """

    collector: Collector
    repository: Repository
    trainer: Trainer
    transformers: Mapping[str, Transformer | Source | Partitioner]
    events: Events
    config: Mapping[str, Any]
    identity: str
    versions: Mapping[str, str]
    control: Control
    serve: Callable[[Model], Predictor] | None = None
    decisive: Callable[[Mapping[str, Any]], dict[str, Any]] | None = None

"""What a repository keeps: runs, their committed rounds, and models."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aeros_core.arrays import Array
from aeros_core.messages import Metrics, State
from aeros_core.parameters import Parameters
from aeros_core.results import Round
from aeros_core.schema import Schema

__all__ = ["Algorithm", "Checkpoint", "Model", "ModelInfo", "Module", "Run"]

Module: TypeAlias = Callable[..., Any]
"""A registered model, its options bound: called with ``inputs`` and ``outputs``."""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a task, from its start to its end, however often it is resumed.

    Args:
        id: Unique in the repository.
        task: Name of the task.
        identity: Digest of everything in the configuration that decides the result.
        config: The resolved configuration, plain data.
        versions: Versions of Python, aeros-core and the plugins.
        created: When it began, ISO 8601 in UTC.
    """

    id: str
    task: str
    identity: str
    config: Mapping[str, Any]
    versions: Mapping[str, str]
    created: str


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """One committed round: everything the next one needs.

    Args:
        round: What the round did.
        parameters: The global parameters after it.
        state: State of each object that keeps one, by role: ``{"collector": …}``.
        seconds: Wall-clock time of the whole run up to here.
    """

    round: Round
    parameters: Parameters
    state: Mapping[str, State] = field(default_factory=dict)
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A stored version of a model, without its parameters.

    Args:
        name: Name of the model.
        version: Number of the version, from 1; never given twice.
        digest: `Parameters.digest` of what is stored.
        run: Id of the run that trained it.
        round: The round after which it was taken.
        metrics: Its metrics as measured by that run.
        created: When it was stored, ISO 8601 in UTC.
        nbytes: Bytes of the parameters.
        tags: Names that point to this version, such as ``latest``.
        parents: Digests of the models it was made from.
    """

    name: str
    version: int
    digest: str
    run: str
    round: int
    metrics: Metrics
    created: str
    nbytes: int
    tags: tuple[str, ...] = ()
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Model:
    """A trained model and what is needed to use it elsewhere.

    Args:
        name: Name of the model.
        parameters: Its parameters.
        schema: Schema of the data it was trained on, after the transformers.
        module: The resolved configuration of the module, ``_target_`` and options.
        transformers: ``{name: configuration}`` of the steps before it, in order.
        fitted: ``{transformer name: state}`` of the steps that keep one.
        run: Id of the run that trained it.
        round: The round after which it was taken.
        metrics: Its metrics as measured by that run.
        versions: Versions of Python, aeros-core and the plugins.
        parents: Digests of the models it was made from.
        inputs: Schema of the data before the transformers: what a request brings; None
            where nobody knows.
        behind: Names of the transformers that only go on behind the model
            (`transformer.SupportsInverse`): those of the last stage of a model that was parted.
        samples: A few rows behind the transformers, by feature (`samples.kept`): what the model
            is compared on when it is written in another form. Empty where none were kept.
    """

    name: str
    parameters: Parameters
    schema: Schema
    module: Mapping[str, Any] = field(default_factory=dict)
    transformers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    fitted: Mapping[str, State] = field(default_factory=dict)
    run: str = ""
    round: int = 0
    metrics: Metrics = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    parents: tuple[str, ...] = ()
    inputs: Schema | None = None
    behind: tuple[str, ...] = ()
    samples: Mapping[str, Array] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A version of an algorithm that is delivered as a wheel, and who vouches for it.

    A repository keeps and delivers it as it is; nodes decide whether they believe it.

    Args:
        name: Name of the distribution, normalised: lower case and ``-``.
        version: Its version, normalised.
        sha256: SHA-256 of the wheel.
        size: Bytes of the wheel.
        key: Id of the key that signed all this; empty if none has.
        signature: Signature in hexadecimal; empty if there is none.
    """

    name: str
    version: str
    sha256: str
    size: int
    key: str
    signature: str

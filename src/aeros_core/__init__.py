"""aeros: a declarative plugin framework for decentralised AI.

The modules at the top of this package are contracts that everything else shares: errors, messages,
parameters, schemas, records and results. The packages below them are layers, from
`aeros_core.tasks` and `aeros_core.roles` up to `aeros_core.cli`; tests/test_architecture.py holds
their order. Begin with `aeros_core.roles`, which says what a plugin implements, and
`aeros_core.federated.rounds`, the round loop. A plugin imports `hookimpl` from here.

Implementations of roles do not belong here: aggregation rules, trainers, repositories and
transports live in plugins.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from aeros_core.hookspecs import hookimpl
from aeros_core.version import __version__

if TYPE_CHECKING:
    from aeros_core.arrays import Array, Vector, on_host
    from aeros_core.config.build import build_service
    from aeros_core.config.instantiate import build_part
    from aeros_core.config.store import load as load_config
    from aeros_core.config.store import plain as plain_config
    from aeros_core.config.task_algorithms import delivered
    from aeros_core.data import Batch, Dataset, Partition
    from aeros_core.encoding import Decoder, Encoded
    from aeros_core.errors import (
        AccessError,
        AerosError,
        ConfigError,
        DataError,
        Interrupted,
        PluginError,
        PredictionError,
        RemoteError,
        RepositoryError,
        TaskError,
    )
    from aeros_core.fields.alignment import Differences, SchemaMismatch, SourceSchema, align
    from aeros_core.files.data_files import DataFile, open_file
    from aeros_core.hooks.extensions import (
        AlgorithmDelivery,
        Command,
        Format,
        OnnxExporter,
        SubtaskKind,
    )
    from aeros_core.inference.explanation import explain
    from aeros_core.inference.service import Service
    from aeros_core.messages import (
        Action,
        Broadcast,
        Evaluation,
        Failure,
        Instruction,
        Metrics,
        Predictions,
        Reply,
        State,
        Update,
    )
    from aeros_core.numerics.aggregation import WeightedMean, check_layout, weighted_mean
    from aeros_core.numerics.dtypes import is_real
    from aeros_core.options.metadata import (
        address_option,
        file_option,
        folder_option,
        variable_option,
    )
    from aeros_core.parameters import Layout, Parameters, TensorSpec
    from aeros_core.plugins.discovery import discover
    from aeros_core.plugins.registry import Registry
    from aeros_core.records import Algorithm, Checkpoint, Model, ModelInfo, Module, Run
    from aeros_core.results import Result, Round, Status
    from aeros_core.roles.codec import Codec
    from aeros_core.roles.collector import (
        Collector,
        SupportsAveraging,
        SupportsBroadcast,
        SupportsBuffer,
        SupportsCodec,
        SupportsPerNodeBroadcast,
        SupportsStaleness,
        SupportsWholeParameters,
    )
    from aeros_core.roles.components import Components
    from aeros_core.roles.controller import Controller
    from aeros_core.roles.disclosure import Disclosure, SupportsDisclosure
    from aeros_core.roles.events import Events
    from aeros_core.roles.inferencer import (
        Count,
        Inferencer,
        Predictor,
        SupportsConcurrency,
        SupportsExplanation,
        SupportsFixedRows,
        SupportsMembers,
        SupportsMetrics,
    )
    from aeros_core.roles.nodes import Nodes, SupportsPresence, SupportsRefusals
    from aeros_core.roles.repository import (
        ModelSource,
        Repository,
        SupportsAlgorithms,
        SupportsCollection,
        SupportsHealing,
        SupportsPages,
        SupportsParts,
        SupportsRemoval,
        SupportsRunLocks,
        SupportsTags,
        SupportsVerify,
    )
    from aeros_core.roles.stateful import SupportsState
    from aeros_core.roles.trainer import SupportsCohort, Trainer
    from aeros_core.roles.transformer import (
        Partitioner,
        Source,
        Split,
        SupportsAttribution,
        SupportsFit,
        SupportsInverse,
        SupportsLinkedFields,
        SupportsObservedRanges,
        SupportsPublicRows,
        SupportsSchema,
        Transformer,
    )
    from aeros_core.schema import Field, Schema, Unknown
    from aeros_core.tasks.control import Cancelled, Control
    from aeros_core.tasks.subtask import Subtask
    from aeros_core.tasks.task import Task

__all__ = [
    "AccessError", "Action", "AerosError", "Algorithm", "AlgorithmDelivery", "Array", "Batch",
    "Broadcast", "Cancelled", "Checkpoint", "Codec", "Collector", "Command", "Components",
    "ConfigError", "Control", "Controller", "Count", "DataError", "DataFile", "Dataset",
    "Decoder", "Differences", "Disclosure", "Encoded", "Evaluation", "Events", "Failure",
    "Field", "Format", "Inferencer", "Instruction", "Interrupted", "Layout", "Metrics", "Model",
    "ModelInfo", "ModelSource", "Module", "Nodes", "OnnxExporter", "Parameters", "Partition",
    "Partitioner", "PluginError", "PredictionError", "Predictions", "Predictor", "Registry",
    "RemoteError", "Reply", "Repository", "RepositoryError", "Result", "Round", "Run", "Schema",
    "SchemaMismatch", "Service", "Source", "SourceSchema", "Split", "State", "Status", "Subtask",
    "SubtaskKind", "SupportsAlgorithms", "SupportsAttribution", "SupportsAveraging",
    "SupportsBroadcast", "SupportsBuffer", "SupportsCodec", "SupportsCohort",
    "SupportsCollection", "SupportsConcurrency", "SupportsDisclosure", "SupportsExplanation",
    "SupportsFit", "SupportsFixedRows", "SupportsHealing", "SupportsInverse",
    "SupportsLinkedFields", "SupportsMembers", "SupportsMetrics", "SupportsObservedRanges",
    "SupportsPages", "SupportsParts", "SupportsPerNodeBroadcast", "SupportsPresence",
    "SupportsPublicRows", "SupportsRefusals", "SupportsRemoval", "SupportsRunLocks",
    "SupportsSchema", "SupportsStaleness", "SupportsState", "SupportsTags", "SupportsVerify",
    "SupportsWholeParameters", "Task", "TaskError", "TensorSpec", "Trainer", "Transformer",
    "Unknown", "Update", "Vector",
    "WeightedMean", "__version__", "address_option", "align", "build_part", "build_service",
    "check_layout", "delivered", "discover", "explain", "file_option", "folder_option", "hookimpl",
    "is_real", "load_config", "on_host", "open_file", "plain_config", "variable_option",
    "weighted_mean",
]  # fmt: skip

_PROVIDERS = {
    "aeros_core.config.build": "build_service",
    "aeros_core.config.instantiate": "build_part",
    "aeros_core.config.store": "load_config plain_config",
    "aeros_core.config.task_algorithms": "delivered",
    "aeros_core.data": "Batch Dataset Partition",
    "aeros_core.encoding": "Decoder Encoded",
    "aeros_core.errors": (
        "AccessError AerosError ConfigError DataError Interrupted PluginError PredictionError "
        "RemoteError RepositoryError TaskError"
    ),
    "aeros_core.fields.alignment": "Differences SchemaMismatch SourceSchema align",
    "aeros_core.files.data_files": "DataFile open_file",
    "aeros_core.hooks.extensions": "AlgorithmDelivery Command Format OnnxExporter SubtaskKind",
    "aeros_core.inference.explanation": "explain",
    "aeros_core.inference.service": "Service",
    "aeros_core.messages": (
        "Action Broadcast Evaluation Failure Instruction Metrics Predictions Reply State Update"
    ),
    "aeros_core.numerics.aggregation": "WeightedMean check_layout weighted_mean",
    "aeros_core.numerics.dtypes": "is_real",
    "aeros_core.options.metadata": "address_option file_option folder_option variable_option",
    "aeros_core.arrays": "Array Vector on_host",
    "aeros_core.parameters": "Layout Parameters TensorSpec",
    "aeros_core.plugins.discovery": "discover",
    "aeros_core.plugins.registry": "Registry",
    "aeros_core.records": "Algorithm Checkpoint Model ModelInfo Module Run",
    "aeros_core.results": "Result Round Status",
    "aeros_core.roles.codec": "Codec",
    "aeros_core.roles.collector": (
        "Collector SupportsAveraging SupportsBroadcast SupportsBuffer SupportsCodec "
        "SupportsPerNodeBroadcast SupportsStaleness SupportsWholeParameters"
    ),
    "aeros_core.roles.components": "Components",
    "aeros_core.roles.controller": "Controller",
    "aeros_core.roles.disclosure": "Disclosure SupportsDisclosure",
    "aeros_core.roles.events": "Events",
    "aeros_core.roles.inferencer": (
        "Count Inferencer Predictor SupportsConcurrency SupportsExplanation SupportsFixedRows"
        " SupportsMembers SupportsMetrics"
    ),
    "aeros_core.roles.nodes": "Nodes SupportsPresence SupportsRefusals",
    "aeros_core.roles.repository": (
        "ModelSource Repository SupportsAlgorithms SupportsCollection SupportsHealing "
        "SupportsPages SupportsParts SupportsRemoval SupportsRunLocks SupportsTags SupportsVerify"
    ),
    "aeros_core.roles.stateful": "SupportsState",
    "aeros_core.roles.trainer": "SupportsCohort Trainer",
    "aeros_core.roles.transformer": (
        "Partitioner Source Split SupportsAttribution SupportsFit SupportsInverse "
        "SupportsLinkedFields SupportsObservedRanges SupportsPublicRows SupportsSchema "
        "Transformer"
    ),
    "aeros_core.schema": "Field Schema Unknown",
    "aeros_core.tasks.control": "Cancelled Control",
    "aeros_core.tasks.subtask": "Subtask",
    "aeros_core.tasks.task": "Task",
}
"""Public names by the module that defines them: the imports above, as text."""

_MODULES = {name: module for module, names in _PROVIDERS.items() for name in names.split()}
_RENAMED = {"load_config": "load", "plain_config": "plain"}

if not TYPE_CHECKING:  # to a type checker, a name that is not imported above does not exist

    def __getattr__(name: str) -> object:
        """Import the module behind a public name.

        Raises:
            AttributeError: The name is not public.
        """
        if name not in _MODULES:
            raise AttributeError(f"module 'aeros_core' has no attribute '{name}'")
        value = getattr(import_module(_MODULES[name]), _RENAMED.get(name, name))
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """Return the public names, for completion in an interpreter."""
    return sorted(__all__)

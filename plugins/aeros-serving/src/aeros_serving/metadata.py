"""What a server tells of itself and its models, as plain data for either protocol."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import util
from importlib.metadata import version
from typing import Any

from aeros_serving.config import Mode
from aeros_serving.control.report import VersionReport
from aeros_serving.models.deployment import Deployment
from aeros_serving.models.queue import RequestQueue
from aeros_serving.models.statistics import Duration
from aeros_serving.protocol.input_schema import Tensor

__all__ = ["config", "extensions", "greeting", "metadata", "server", "statistics"]

_EXTENSIONS = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "schedule_policy",
    "statistics",
)
"""Extensions of the protocol that are spoken here; of schedule_policy the timeout alone."""


def extensions() -> list[str]:
    """Return what is spoken here: ``explanation``, of this server, where captum is installed."""
    own = ["explanation"] if util.find_spec("captum") else []
    return sorted([*_EXTENSIONS, *own])


def greeting() -> dict[str, Any]:
    """Return where to go, for whoever asks for nothing in particular."""
    return {"name": "aeros-serving", "see": ["/v2", "/openapi.json", "/metrics"]}


def server() -> dict[str, Any]:
    """Return the server's metadata."""
    return {
        "name": "aeros-serving",
        "version": version("aeros-serving"),
        "extensions": extensions(),
    }


def metadata(slot: Deployment, lane: RequestQueue) -> dict[str, Any]:
    """Return a model's metadata."""
    served = lane.served
    return {
        "name": served.name,
        "versions": [str(lane.served.version) for lane in slot.queues],
        "platform": served.platform,
        "inputs": _tensors(served.contract.inputs),
        "outputs": _tensors(served.outputs),
    }


def _tensors(tensors: Sequence[Tensor]) -> list[dict[str, Any]]:
    return [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in tensors]


def config(lane: RequestQueue) -> dict[str, Any]:
    """Return a model's configuration: what Triton's clients want to know of it."""
    served, batching, single = lane.served, lane.batching, lane.single
    told: dict[str, Any] = {
        "name": served.name,
        "platform": served.platform,
        "backend": served.platform,
        "max_batch_size": 1 if single else batching.max_batch,
        "input": [_described(t) for t in served.contract.inputs],
        "output": [_described(t) for t in served.outputs],
    }
    if not single:
        told["dynamic_batching"] = {
            "preferred_batch_size": list(batching.preferred),
            "max_queue_delay_microseconds": round(batching.delay * 1e6),
        }
    return told | {"parameters": {"batching": {"string_value": _batching(lane)}}}


def _batching(lane: RequestQueue) -> str:
    """Say which requests go through the model together, and why if none do."""
    mode, served = lane.batching.batching, lane.served
    if served.alone:
        return f"{mode.value}: no, the model takes consecutive rows"
    if (fixed := served.service.fixed_rows) == 1:
        return f"{mode.value}: no, the model computes one row at a time"
    if not lane.single:
        return f"{mode.value}: yes" + (
            f", the model computes {fixed} rows at a time" if fixed else ""
        )
    return f"{mode.value}: no" + ("" if mode is Mode.never else f", {served.dependent}")


def _described(tensor: Tensor) -> dict[str, Any]:
    kind = "STRING" if tensor.datatype == "BYTES" else tensor.datatype
    return {"name": tensor.name, "data_type": f"TYPE_{kind}", "dims": list(tensor.shape[1:])}


def statistics(report: VersionReport) -> dict[str, Any]:
    """Return what the statistics extension has about a version."""
    seen = report.statistics
    names = ("success", "fail", "queue", "compute_input", "compute_infer", "compute_output")
    return {
        "name": report.name,
        "version": str(report.version),
        "last_inference": seen.last,
        "inference_count": seen.rows,
        "execution_count": seen.executions,
        "inference_stats": {name: _duration(getattr(seen, name)) for name in names},
        "batch_stats": [
            {"batch_size": size, **_batch(durations)}
            for size, durations in sorted(seen.batches.items())
        ],
    }


def _batch(durations: tuple[Duration, Duration, Duration]) -> dict[str, Any]:
    names = ("compute_input", "compute_infer", "compute_output")
    return {name: _duration(one) for name, one in zip(names, durations, strict=True)}


def _duration(duration: Duration) -> dict[str, int]:
    return {"count": duration.count, "ns": duration.ns}

"""What became of a task: where it stands, what a round did, and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from aeros_core.messages import Metrics

__all__ = ["Result", "Round", "Status", "capped", "dropped"]


class Status(StrEnum):
    """Where a task stands in its life."""

    SUBMITTED = "SUBMITTED"
    PLANNED = "PLANNED"
    WAITING = "WAITING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    CANCELLING = "CANCELLING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    INTERRUPTED = "INTERRUPTED"


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did, as it is committed and reported.

    Args:
        number: From 1.
        metrics: Central evaluation; empty where the round was not evaluated.
        federated: Federated evaluation, weighted by examples; empty where there was none.
        training: Metrics of the local training, weighted by examples.
        nodes: ``{node: {"examples": …, "loss": …}}`` of the accepted updates.
        refused: Nodes whose update is missing, and why: ``{node: reason}``.
        dropped: How often something of a node was refused: ``{node: {kind: times}}``; the
            kinds are those of `round_counters.Refusal`.
        seconds: ``{"train": …, "evaluate": …, "total": …}``; of ``train`` also how much was
            ``select``, ``send``, ``work``, ``receive`` and ``aggregate`` (`timing.PhaseTimer`), and
            beside the total ``commit``: how long it took to store the round before.
        sent: Payload to nodes, bytes.
        received: Payload from nodes, bytes.
        capped: Nodes that would have had more than ``task.max_share`` of the weight, and the
            examples they counted for: ``{node: {"train": …, "evaluate": …}}``.
    """

    number: int
    metrics: Metrics
    federated: Metrics
    training: Metrics
    nodes: Mapping[str, Mapping[str, float]]
    refused: Mapping[str, str]
    seconds: Mapping[str, float]
    sent: int
    received: int
    dropped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    capped: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def watched(self) -> Metrics:
        """The metrics that decide: central where measured, else federated."""
        return self.metrics or self.federated

    def to_json(self) -> dict[str, Any]:
        """Return the round as JSON-ready data; ``round`` is its number.

        ``capped`` is there only where a node was.
        """
        return {
            "round": self.number,
            "metrics": dict(self.metrics),
            "federated": dict(self.federated),
            "training": dict(self.training),
            "nodes": {node: dict(figures) for node, figures in self.nodes.items()},
            "refused": dict(self.refused),
            "dropped": {node: dict(kinds) for node, kinds in self.dropped.items()},
            "seconds": dict(self.seconds),
            "bytes": {"sent": self.sent, "received": self.received},
            **({"capped": {n: dict(by) for n, by in self.capped.items()}} if self.capped else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Round:
        """Read what `to_json` wrote."""
        return cls(
            number=data["round"],
            metrics=data["metrics"],
            federated=data["federated"],
            training=data["training"],
            nodes=data["nodes"],
            refused=data["refused"],
            seconds=data["seconds"],
            sent=data["bytes"]["sent"],
            received=data["bytes"]["received"],
            dropped=data["dropped"],
            capped=data.get("capped", {}),
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What a task ended with; `to_json` is the public form, ``result.json``.

    Args:
        task: Name of the task.
        status: How it ended.
        rounds: Rounds committed.
        metrics: The last metrics measured.
        model: ``name``, ``version`` and ``digest`` of the stored model; empty if none was.
        seconds: Wall-clock time, all sittings of a resumed task together.
        sent: Payload to nodes, bytes.
        received: Payload from nodes, bytes.
        versions: Versions of Python, aeros-core and every plugin that took part.
        dropped: How much was refused in all rounds: ``{kind: times}``.
        capped: In how many rounds the weight of a node was capped: ``{node: rounds}``.
    """

    task: str
    status: Status
    rounds: int
    metrics: Metrics
    model: Mapping[str, str | int]
    seconds: float
    sent: int
    received: int
    versions: Mapping[str, str]
    dropped: Mapping[str, int] = field(default_factory=dict)
    capped: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON-ready data."""
        return {
            "task": self.task,
            "status": str(self.status),
            "rounds": self.rounds,
            "metrics": dict(self.metrics),
            "model": dict(self.model),
            "seconds": self.seconds,
            "bytes": {"sent": self.sent, "received": self.received},
            "versions": dict(self.versions),
            "dropped": dict(self.dropped),
            **({"capped": dict(self.capped)} if self.capped else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Result:
        """Read what `to_json` wrote."""
        return cls(
            task=data["task"],
            status=Status(data["status"]),
            rounds=data["rounds"],
            metrics=data["metrics"],
            model=data["model"],
            seconds=data["seconds"],
            sent=data["bytes"]["sent"],
            received=data["bytes"]["received"],
            versions=data["versions"],
            dropped=data["dropped"],
            capped=data.get("capped", {}),
        )


def capped(history: Iterable[Round]) -> dict[str, int]:
    """Return in how many rounds the weight of a node was capped, by node."""
    return dict(sorted(Counter(node for done in history for node in done.capped).items()))


def dropped(history: Iterable[Round]) -> dict[str, int]:
    """Return how many contributions were refused in all, by kind."""
    total: Counter[str] = Counter()
    for done in history:
        for kinds in done.dropped.values():
            total.update(kinds)
    return dict(sorted(total.items()))

"""What a round has taken in and refused so far."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from aeros_core.messages import Predictions, Reply, Update

__all__ = ["Refusal", "RoundCounters", "shown"]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a reply is refused.

    Args:
        kind: What refusals are counted by: ``late``, ``duplicate``, ``not asked``,
            ``other round``, ``not its own``, ``same key``, ``gone``, ``failed``,
            ``not an update``, ``layout``, ``dtype``, ``examples``, ``figures`` (too many, badly
            named, or no numbers), ``not finite``, ``norm``, ``encoding``, ``no reply``,
            ``evaluation`` or ``inference``.
        text: What a person is told.
    """

    kind: str
    text: str


LONGEST = 2000
"""Characters of a reason that are kept."""


def shown(text: str) -> str:
    """Return a text that a node sent as one line: shortened, without control characters."""
    if len(text) > LONGEST:
        text = text[:LONGEST] + "…"
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else " " for sign in text)


@dataclass(slots=True)
class RoundCounters:
    """Counts of one round.

    Args:
        accepted: Figures of each accepted update, by node.
        refused: Why a node's contribution is missing, by node.
        dropped: How often something of a node was refused, by node and kind; also of
            nodes whose contribution is not missing.
        capped: Examples that a node counts for whose share was limited (`weight_cap`), by node
            and by ``train`` or ``evaluate``.
        sent: Payload to nodes, bytes.
        received: Payload from nodes, bytes; of what was refused, too.
    """

    accepted: dict[str, dict[str, float]] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    capped: dict[str, dict[str, int]] = field(default_factory=dict)
    sent: int = 0
    received: int = 0

    def receive(self, reply: Reply) -> None:
        """Count the bytes of a reply."""
        if isinstance(reply, (Update, Predictions)):  # a union is asked three times as slowly
            self.received += reply.nbytes

    def accept(self, reply: Update | Predictions) -> None:
        """Note what a good update, or a good answer, reports."""
        figures = {n: v if type(v) is float else float(v) for n, v in reply.metrics.items()}
        self.accepted[reply.node] = {"examples": int(reply.examples), **figures}
        if self.refused:  # an earlier reply of this node may have come to nothing
            self.refused.pop(reply.node, None)

    def cap(self, what: str, node: str, examples: int) -> None:
        """Note that a node counts for no more than these examples."""
        self.capped.setdefault(node, {})[what] = examples

    @property
    def weighed(self) -> list[Mapping[str, float]]:
        """Figures of each accepted update, with the examples that its node counts for."""
        if not self.capped:
            return list(self.accepted.values())
        limits = {node: by["train"] for node, by in self.capped.items() if "train" in by}
        return [
            {**row, "examples": min(row["examples"], limits.get(node, row["examples"]))}
            for node, row in self.accepted.items()
        ]

    @property
    def reasons(self) -> str:
        """Why nodes are missing, the first three of them, in words."""
        told = [f"{node}: {reason}" for node, reason in self.refused.items()]
        return "; ".join(told[:3]) + (f"; and {len(told) - 3} more" if len(told) > 3 else "")

    def refuse(self, node: str, refusal: Refusal) -> None:
        """Count a refusal; it is why the node is missing, unless the node is not."""
        kinds = self.dropped.setdefault(node, {})
        kinds[refusal.kind] = kinds.get(refusal.kind, 0) + 1
        if node not in self.accepted:
            self.refused[node] = shown(refusal.text)

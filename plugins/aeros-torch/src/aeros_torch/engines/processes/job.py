"""One client to be trained by a worker process, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aeros_core.data import Dataset
from aeros_core.errors import ConfigError
from aeros_core.messages import Failure, Instruction, Update
from aeros_core.parameters import Parameters

__all__ = ["LIVES", "Job", "fault"]

LIVES = 2
"""Workers that one client may take with it before it counts as failed."""


@dataclass(slots=True, eq=False)
class Job:
    """A client that waits, is in training, or has come back.

    Args:
        instruction: What to start from.
        data: The node's data.
        rate: Learning rate.
        reply: What came back; an error is one of the whole task.
        deaths: Workers that ended while they trained it.
        dropped: Whether nobody asks for the reply any more.
        seconds: That training took; None unless it came to its end.
    """

    instruction: Instruction
    data: Dataset
    rate: float
    reply: Update | Failure | ConfigError | None = None
    deaths: int = 0
    dropped: bool = False
    seconds: float | None = None

    def told(self) -> dict[str, Any]:
        """Return what a worker has to know beside the arrays, as JSON can say it."""
        sent = self.instruction
        return {
            "round": sent.round,
            "node": sent.node,
            "seed": sent.seed,
            "scalars": {name: float(value) for name, value in sent.scalars.items()},
            "drift": "drift" in sent.vectors,
            "rate": self.rate,
            "whole": self.data.rows is None,
        }

    def done(self, told: Mapping[str, Any], parameters: Parameters) -> None:
        """Take up what came of the training."""
        sent, figures = self.instruction, (told["metrics"], told["scalars"])
        self.reply = Update(sent.node, sent.round, parameters, len(self.data), *figures)
        self.seconds = told["seconds"]

    def failed(self, wrong: Mapping[str, Any]) -> None:
        """Take up what `fault` told: this node's failure, unless every node would have it."""
        if "config" in wrong:
            self.reply = ConfigError(**wrong["config"])
        else:
            self.reply = Failure(self.instruction.node, self.instruction.round, wrong["why"])

    def late(self) -> None:
        """Note that it has taken longer than it may."""
        sent = self.instruction
        why = f"no reply within the {sent.deadline:g} s that a node may take"
        self.reply = Failure(sent.node, sent.round, why)

    def lost(self, how: str) -> bool:
        """Note that its worker has ended; tell whether it may be tried once more."""
        self.deaths += 1
        if self.deaths >= LIVES:
            sent, why = self.instruction, f"{self.deaths} worker processes died training it: {how}"
            self.reply = Failure(sent.node, sent.round, why)
        return self.reply is None


def fault(error: Exception) -> dict[str, Any]:
    """Return what is to be known of an error, as JSON can say it."""
    if isinstance(error, ConfigError):
        parts = ("asked", "exists", "provider", "hint")
        return {"config": {name: getattr(error, name) for name in parts}}
    return {"why": f"{type(error).__name__}: {error}"}

"""Keep a state that an exact resume brings back: a capability of any role."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from aeros_core.messages import State

__all__ = ["SupportsState"]


@runtime_checkable
class SupportsState(Protocol):
    """An object with a state that an exact resume has to bring back."""

    def state(self) -> State:
        """Return the state, as it is between two rounds."""

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""

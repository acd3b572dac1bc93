"""Tensors that stay on their node: partial-key aggregation, for any rule."""

from __future__ import annotations

from collections.abc import Sequence

from aeros_core.errors import ConfigError
from aeros_core.messages import Broadcast

__all__ = ["Personal"]


class Personal:
    """The half of every rule that says which tensors it does not share.

    Arivazhagan et al., Federated Learning with Personalization Layers (2019), section 3;
    arXiv:1912.00818. The patterns are announced; the core keeps each node's own values,
    and sends the rule the global ones in their place, so that it leaves them as they are.

    Args:
        personal: Patterns (``*``, ``?``) of the names of tensors that stay on their node.

    Raises:
        ConfigError: A pattern is empty.
    """

    def __init__(self, *, personal: Sequence[str]) -> None:
        if not all(personal):
            raise ConfigError(
                f"collector.personal={list(personal)} has an empty pattern",
                exists="names of tensors, with * and ? for any letters and any one",
                provider="aeros-aggregators",
                hint="collector.personal=[head.*]",
            )
        self._personal = tuple(personal)

    def broadcast(self, round: int) -> Broadcast:  # noqa: ARG002 - the same in every round
        """Announce the tensors that stay."""
        return Broadcast(personal=self._personal)

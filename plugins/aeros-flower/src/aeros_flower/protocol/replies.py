"""What of an executor's answer is a reply to what it was asked, and what is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from aeros_core.messages import Failure, Instruction, Reply
from aeros_core.tasks.round_counters import Refusal

__all__ = ["Refused", "sorted_out"]

Refused = tuple[str, Refusal]
"""Whose something is refused, and why."""

_COUNTED = 1000
"""Refusals of one answer that are counted at most."""

_SHOWN = 80
"""Letters of a name that is none of ours, at most, in what a person is told."""

_NONE = "its executor sent no reply for it"


def sorted_out(
    executor: str, asked: Mapping[str, Instruction], replies: Iterable[Reply], missing: str = _NONE
) -> tuple[list[Reply], list[Refused]]:
    """Return one reply to each instruction, and why all else is refused.

    A client that is not replied for, or for another round, has failed: nothing else is to
    come for it. An executor speaks for those clients alone that it was asked for.

    Args:
        executor: Name of who answers.
        asked: What it was asked, by client.
        replies: What it says.
        missing: Why a client failed that nothing is said of.
    """
    found: dict[str, Reply] = {}
    refused: list[Refused] = []
    for reply in replies:
        told = asked.get(reply.node)
        if told is None:
            why = f"a reply for {reply.node[:_SHOWN]!r}, which it was not asked for"
            refused.append((executor, Refusal("not its own", why)))
        elif reply.node in found:
            why = f"a second reply for round {told.round}"
            refused.append((reply.node, Refusal("duplicate", why)))
        elif reply.round != told.round:
            why = f"a reply for round {reply.round}, where round {told.round} was asked for"
            found[reply.node] = Failure(reply.node, told.round, why, "other round")
        else:
            found[reply.node] = reply
    for name in asked.keys() - found.keys():
        found[name] = Failure(name, asked[name].round, missing)
    return [found[name] for name in asked], refused[:_COUNTED]

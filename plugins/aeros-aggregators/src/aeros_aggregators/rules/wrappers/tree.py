"""Trees of collectors: a group's updates become one update for the parent."""

from __future__ import annotations

import math
import queue
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack

from aeros_aggregators.options import check_option
from aeros_aggregators.rules.wrappers.wrapper import prefixed, told_of, under
from aeros_core.messages import Broadcast, Metrics, State, Update
from aeros_core.parameters import Parameters
from aeros_core.roles.collector import Collector, SupportsBroadcast, SupportsPerNodeBroadcast
from aeros_core.roles.stateful import SupportsState

__all__ = ["Relay", "Tree"]


class Relay:
    """Aggregates what it gets into one weighted update for a parent.

    The update has the rule's parameters, the sum of the examples, and the mean of metrics
    and scalars weighted by them. With FedAvg as the rule, a parent that is linear in the
    updates' mean (FedAvg, FedAvgM, FedProx, FedAdam, FedAdagrad, FedYogi) gets the flat
    mean but for one more rounding: the relay's mean is exact and rounded once, so a
    coordinate differs by at most 2^-24 of its largest group's magnitude for each level of
    float32. FedNova is exact where all nodes of a group have the same reach.

    Args:
        name: The node that the parent sees.
        rule: What aggregates.
    """

    def __init__(self, name: str, rule: Collector) -> None:
        self.name = name
        self.rule = rule

    def forward(
        self, round: int, parameters: Parameters, updates: Iterable[Update]
    ) -> Update | None:
        """Return the update for the parent; None without any."""
        seen = _Seen(updates)
        result = self.rule.aggregate(parameters, seen)
        if not seen.examples:
            return None
        metrics, scalars = seen.means()
        return Update(self.name, round, result, seen.examples, metrics, scalars)


class _Seen:
    """Updates whose examples and figures are added up as they pass."""

    def __init__(self, updates: Iterable[Update]) -> None:
        self._updates = updates
        self.examples = 0
        self._rows: list[tuple[int, Metrics, Metrics]] = []

    def __iter__(self) -> Iterator[Update]:
        for update in self._updates:
            self.examples += update.examples
            self._rows.append((update.examples, update.metrics, update.scalars))
            yield update
            del update

    def means(self) -> tuple[Metrics, Metrics]:
        """Return the mean of the metrics, and that of the scalars."""
        return _mean([(n, m) for n, m, _ in self._rows]), _mean([(n, s) for n, _, s in self._rows])


def _mean(rows: Sequence[tuple[int, Metrics]]) -> Metrics:
    """Return the mean of each figure over those that have it, weighted by examples."""
    names = dict.fromkeys(name for _, values in rows for name in values)
    having = {name: [(n, values[name]) for n, values in rows if name in values] for name in names}
    return {
        name: math.fsum(n * value for n, value in several) / sum(n for n, _ in several)
        for name, several in having.items()
    }


class Tree:
    """A parent over groups of nodes, each group with a collector of its own.

    A simulation of a hierarchy: Liu et al., Client-Edge-Cloud Hierarchical Federated
    Learning (2020), algorithm 1 with one round of the edge; arXiv:1905.06641. Groups work
    side by side, so that a linear rule holds a few updates for each group and no more.

    Args:
        rule: Makes the rule of a group.
        outer: Makes the rule of the parent, which sees one update for each group.
        groups: Number of groups; a node's group is drawn from its name.

    Raises:
        ConfigError: ``groups`` is below 1, or an option of a rule is out of its range.
    """

    def __init__(
        self, *, rule: Callable[[], Collector], outer: Callable[[], Collector], groups: int
    ) -> None:
        check_option("groups", groups, groups >= 1, "1 or more")
        with told_of("rule"):
            self._relays = [Relay(f"group-{i}", rule()) for i in range(groups)]
        with told_of("outer"):
            self._outer = outer()

    def aggregate(self, parameters: Parameters, updates: Iterable[Update]) -> Parameters:
        """Return what the parent makes of the groups' updates."""
        forwarded: dict[int, Future[Update | None]] = {}
        with ThreadPoolExecutor(len(self._relays)) as pool, ExitStack() as ends:
            feeds: dict[int, _Feed] = {}
            for update in updates:
                group = self._group(update.node)
                if group not in feeds:
                    feed = feeds[group] = _Feed()
                    ends.push(feed.end)
                    forwarded[group] = pool.submit(
                        _fed, self._relays[group], update.round, parameters, feed
                    )
                feeds[group].put(update)
                del update
        with told_of("rule"):
            replies = [forwarded[group].result() for group in sorted(forwarded)]
        with told_of("outer"):
            return self._outer.aggregate(parameters, [r for r in replies if r is not None])

    def _group(self, node: str) -> int:
        return zlib.crc32(node.encode()) % len(self._relays)

    def broadcast(self, round: int) -> Broadcast:
        """Return what the parent and the groups announce."""
        rules = (self._outer, self._relays[0].rule)
        return _merged(r.broadcast(round) for r in rules if isinstance(r, SupportsBroadcast))

    def broadcast_to(self, round: int, node: str) -> Broadcast:
        """Return what the node's group tells it."""
        rule = self._relays[self._group(node)].rule
        return (
            rule.broadcast_to(round, node)
            if isinstance(rule, SupportsPerNodeBroadcast)
            else Broadcast()
        )

    def state(self) -> State:
        """Return the rules' states, the parent's under ``outer.``, others by group."""
        state = prefixed("outer.", self._outer)
        for relay in self._relays:
            state |= prefixed(f"{relay.name}.", relay.rule)
        return state

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""
        named = {"outer": self._outer} | {relay.name: relay.rule for relay in self._relays}
        for name, rule in named.items():
            if isinstance(rule, SupportsState):
                rule.restore(under(f"{name}.", state))


def _merged(announced: Iterable[Broadcast]) -> Broadcast:
    """Return what several collectors announce, as one; the last wins."""
    whole = Broadcast()
    for told in announced:
        whole = Broadcast(
            {**whole.scalars, **told.scalars},
            {**whole.vectors, **told.vectors},
            tuple(dict.fromkeys((*whole.personal, *told.personal))),
        )
    return whole


class _Feed:
    """Updates from one thread to another, one at a time."""

    def __init__(self) -> None:
        self._queue: queue.Queue[Update | BaseException | None] = queue.Queue(1)
        self._ended = False

    def put(self, update: Update) -> None:
        self._queue.put(update)

    def end(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Let whoever reads come to an end, or to the error that ended the round."""
        self._queue.put(error)

    def __iter__(self) -> Iterator[Update]:
        while not self._ended:
            update = self._queue.get()
            if isinstance(update, Update):
                yield update
            else:
                self._ended = True
                if update is not None:
                    raise update
            del update


def _fed(relay: Relay, round: int, parameters: Parameters, feed: _Feed) -> Update | None:
    """Let a relay take its feed to the end, also where its rule has given up."""
    try:
        return relay.forward(round, parameters, feed)
    finally:
        for _ in feed:
            pass

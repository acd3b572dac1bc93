"""Base class of graphs: named members, and the distribution of rows among them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aeros_core.arrays import Array
from aeros_core.data import Batch
from aeros_core.errors import AerosError, ConfigError
from aeros_core.records import Model, Module
from aeros_core.roles.inferencer import Count, Inferencer, SupportsConcurrency, SupportsMetrics
from aeros_graphs.member_statistics import MemberStatistics

__all__ = ["Graph", "deal", "ordered", "rows_of"]

_USUAL: dict[str, Any] = {"model": None, "inferencer": None, "weight": 1.0}


class Graph:
    """An inferencer that calls other inferencers; may be called from several threads.

    Each member is called by at most as many threads at once as it supports, usually one; further
    threads wait.

    Args:
        members: Specification of each member by name; see `aeros_graphs.config`.
        least: Minimum number of members.

    Raises:
        ConfigError: There are too few members, a specification is invalid, or a weight is not
            above 0.
    """

    def __init__(self, members: Mapping[str, Any], least: int):
        if len(members) < least:
            raise ConfigError(
                f"inferencer.members has {len(members)} of at least {least} members",
                exists=", ".join(members) or "none",
                hint="+inferencer.members.<name>=NAME:VERSION",
            )
        # Hydra moves members with a chosen inferencer to the front: the typed order is lost.
        self.members = {name: _member(name, members[name]) for name in sorted(members)}
        self.taken: Mapping[str, Inferencer] = {}
        self._tallies = {name: MemberStatistics() for name in self.members}
        self._turns: dict[str, threading.Semaphore] = {}

    def take(self, members: Mapping[str, Inferencer]) -> None:
        """Set the inferencer of each member."""
        self.taken = members
        self._turns = _turns(members)

    def load(self, model: Model, module: Module | None = None) -> None:
        """Load the model of every member.

        Raises:
            AerosError: A member cannot load its model; the message names it.
        """
        for name, member in self.taken.items():
            try:
                member.load(model, module)
            except AerosError as error:
                raise _of(name, error) from error
        self._turns = _turns(self.taken)  # what a member supports is known once it is loaded

    @property
    def concurrency(self) -> int:
        """Maximum number of concurrent calls: that of the member that supports most."""
        return max(map(_concurrency, self.taken.values()), default=1)

    def asked(self, name: str, batch: Batch) -> Batch:
        """Return the prediction of one member.

        Raises:
            ConfigError: No model is loaded.
            AerosError: The member failed; the message names it.
        """
        if name not in self.taken:
            raise ConfigError("no model is loaded", hint="call load first")
        with self._turns[name]:
            started, rows = time.perf_counter(), None
            try:
                answer = self.taken[name].predict(batch)
                rows = rows_of(batch)
            except AerosError as error:
                raise _of(name, error) from error
            finally:
                self._tallies[name].add(time.perf_counter() - started, rows)
        return answer

    def counts(self) -> Iterator[Count]:
        """Yield the request counters of each member, and the member's own, labelled by name."""
        for name, tally in self._tallies.items():
            yield from tally.counts(name)
            member = self.taken.get(name)
            own: Iterable[Count] = member.counts() if isinstance(member, SupportsMetrics) else ()
            for count in own:
                inner = count.labels.get("member")
                named = f"{name}.{inner}" if inner else name
                yield replace(count, labels={**count.labels, "member": named})

    @property
    def weights(self) -> NDArray[np.float64]:
        """Normalised weights of the members, shape (members,), sum 1."""
        weights = np.array([member["weight"] for member in self.members.values()], np.float64)
        return np.asarray(weights / weights.sum())


def _concurrency(member: Inferencer) -> int:
    """Return the maximum number of concurrent calls of a member."""
    return member.concurrency if isinstance(member, SupportsConcurrency) else 1


def _turns(members: Mapping[str, Inferencer]) -> dict[str, threading.Semaphore]:
    return {name: threading.Semaphore(_concurrency(one)) for name, one in members.items()}


def _of(name: str, error: AerosError) -> AerosError:
    """Return a member's error with its name, and its options as those of the graph."""
    within = f"inferencer.members.{name}.inferencer."
    return type(error)(
        f"member '{name}': {error.asked}",
        exists=error.exists,
        provider=error.provider,
        hint=re.sub(r"(?<![\w.])inferencer\.(?=\w)", within, error.hint),
    )


def ordered(members: Mapping[str, Any], order: Sequence[str]) -> list[str]:
    """Return ``order`` as a list, checked to name every member exactly once.

    Raises:
        ConfigError: A name is unknown, missing or repeated.
    """
    if sorted(order) == sorted(members):
        return list(order)
    names = sorted(members)
    told = f"inferencer.order=[{','.join(order)}]"
    if strange := [name for name in order if name not in members]:
        raise ConfigError(
            f"{told} names '{strange[0]}', which is no member",
            exists=", ".join(names) or "no member",
            hint=f"+inferencer.members.{strange[0]}=NAME:VERSION",
        )
    left = [name for name in names if name not in order]
    how = f"leaves out '{left[0]}'" if left else "names a member twice"
    raise ConfigError(
        f"{told} {how}: it names every member once",
        exists=", ".join(names),
        hint=f"inferencer.order=[{','.join(names)}], in the order that is meant",
    )


def _member(name: str, node: Any) -> Mapping[str, Any]:
    """Return a member with its model, inferencer and weight."""
    given = {"model": node} if isinstance(node, str) else node
    if not isinstance(given, Mapping) or (unknown := sorted(given.keys() - _USUAL.keys())):
        wrong = f".{unknown[0]}" if isinstance(given, Mapping) else f"={node}"
        raise ConfigError(
            f"inferencer.members.{name}{wrong} is no part of a member",
            exists=", ".join(_USUAL),
            hint=f"+inferencer.members.{name}=NAME:VERSION",
        )
    weight = given.get("weight", 1.0)
    if not (isinstance(weight, int | float) and 0 < weight < float("inf")):
        raise ConfigError(f"inferencer.members.{name}.weight must be above 0, got {weight}")
    return {**_USUAL, **given}


def rows_of(batch: Batch) -> int:
    """Return the number of rows of a batch."""
    return len(next(iter(batch.values()), ()))


def deal(
    batch: Batch, places: NDArray[np.int64], ask: Callable[[int, Batch], Batch], usual: int = 0
) -> dict[str, Array]:
    """Distribute rows among members, and merge their predictions in the original order.

    Args:
        batch: The rows.
        places: Index of the member for each row, shape (rows,).
        ask: Returns the prediction of the member with an index for a batch.
        usual: Index of the member to call for an empty batch.

    Raises:
        ConfigError: Members predict different fields or shapes.
    """
    parts: list[tuple[NDArray[np.int64], Batch]] = []
    for place in np.unique(places) if len(places) else [usual]:
        rows = np.flatnonzero(places == place)
        whole = len(rows) == len(places)
        part = batch if whole else {name: column[rows] for name, column in batch.items()}
        parts.append((rows, ask(int(place), part)))
    if len(parts) == 1:
        return dict(parts[0][1])
    return {name: _column(name, len(places), parts) for name in _same(parts)}


def _same(parts: list[tuple[NDArray[np.int64], Batch]]) -> list[str]:
    """Return the predicted fields, in the order of the first member; all must have the same."""
    names = [set(answer) for _, answer in parts]
    if any(other != names[0] for other in names):
        told = " and ".join(", ".join(sorted(name)) for name in names)
        raise ConfigError(
            f"members answer other fields: {told}", hint="choose members that answer the same"
        )
    return list(parts[0][1])


def _column(name: str, rows: int, parts: list[tuple[NDArray[np.int64], Batch]]) -> Array:
    first = np.asarray(parts[0][1][name])
    dtype = np.result_type(*(answer[name] for _, answer in parts))
    column = np.empty((rows, *first.shape[1:]), dtype)
    for chosen, answer in parts:
        if answer[name].shape[1:] != first.shape[1:]:
            raise ConfigError(
                f"members answer '{name}' in shapes {first.shape[1:]} and {answer[name].shape[1:]}",
                hint="choose members that answer the same",
            )
        column[chosen] = answer[name]
    return column

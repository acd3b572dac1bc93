"""The agreement on a task's source schema and fitted steps, before the first round.

Where executors hold data of their own, the task's schema goes to them, each says how its data
differ, and categories that sites publish are added. Then each fitted step, in order, is fitted to
the summaries of all of them. The result is the plan that every node works by, also one that comes
later; it is kept with the run, so that a task that goes on has the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from aeros_core.errors import DataError
from aeros_core.federated import run_state
from aeros_core.fields.alignment import Differences, SourceSchema
from aeros_core.fields.categories import ordered, with_other
from aeros_core.messages import State
from aeros_core.preprocessing import pipeline
from aeros_core.preprocessing.pipeline import Prepared
from aeros_core.preprocessing.source_data import Loaded, load
from aeros_core.roles.components import Components
from aeros_core.roles.transformer import SupportsLinkedFields, SupportsSchema
from aeros_core.schema import OTHER, Field, Unknown
from aeros_core.tasks.task import Task
from aeros_flower.controller.summaries import fault
from aeros_flower.membership.executors import ConnectedExecutor, Executors, Post
from aeros_flower.protocol import preparation
from aeros_flower.protocol.data_plan import DataPlan, digest
from aeros_flower.protocol.message_content import WireError, kind_of
from aeros_flower.protocol.messages import unpack_note

__all__ = ["Agreement", "differences_of"]

_MOST = 100_000
"""Categories of a field that one site may publish."""


class Agreement:
    """Brings the nodes of a task to one schema, and to steps that are fitted to all of them.

    Args:
        task: What is to be run.
        parts: With what.
        data: The task side's own data, as `execution.prepare` returned them.
        message: Returns the message that asks a node to prepare by a plan.
    """

    def __init__(
        self, task: Task, parts: Components, data: Prepared, message: Callable[[DataPlan], Any]
    ) -> None:
        if data.agreed is None:
            raise DataError("the task's data have no schema that others could have")
        self._task, self._parts, self._data, self._message = task, parts, data, message
        clients = digest(data.partition)
        kept = DataPlan.of_state(run_state.stored_state(task, parts, "nodes"), clients)
        self._resumed, self._open = kept is not None, kept is None
        self.plan = kept or DataPlan(data.agreed, clients)
        self._source = next(iter(parts.transformers.values()))

    def message(self) -> Any:
        """Return the message that asks a node to prepare by the plan as it is now."""
        return self._message(self.plan)

    def state(self) -> State:
        """Return what is kept with the run; empty where nodes hold the task's own data."""
        return {} if self._open else self.plan.state()

    # ------------------------------------------------------------ what nodes say

    def problem(self, member: ConnectedExecutor) -> str:
        """Return why a node's data do not fit the task's schema; empty where they do.

        Raises:
            KeyError or TypeError: What it says is incomplete.
        """
        found = differences_of(member.told, self.plan.source)
        if not found or (self._open and self._published(found)):
            return ""
        return "; ".join([*found.lines(), *self._advice(found)])

    def _published(self, found: Differences) -> bool:
        """Tell whether unknown categories are all that is amiss, and are published."""
        extended = all(n in found.found and n not in self._declared for n in found.unknown)
        return not found.missing and not found.kinds and extended

    @property
    def _declared(self) -> frozenset[str]:
        source = self._source
        return frozenset(source.declared) if isinstance(source, SupportsSchema) else frozenset()

    def _advice(self, found: Differences) -> list[str]:
        """Return what to type where categories are unknown."""
        if not found.unknown:
            return []
        if not isinstance(self._source, SupportsSchema):
            return ["start the task with data that hold every category"]
        schema = self.plan.source.schema
        known = {name: schema[name].categories or () for name in found.unknown}
        return [f"declare every category: {self._source.declaration(known)}"]

    # ------------------------------------------------------------ the agreement

    def reach(
        self, roster: Executors, post: Post, seconds: float, check: Callable[[], None]
    ) -> Prepared:
        """Return the task side's data by the plan, once every node can work by it.

        Args:
            roster: Who is there.
            post: Where messages go.
            seconds: To wait for the summaries of a step.
            check: Called now and then; raises where the task is to end.

        Raises:
            DataError: No node's summary of a step could be used.
        """
        if self._resumed:
            return self._prepared(self.plan.fitted or {})
        if not any(member.own for member in roster.fit):
            self.plan = replace(self.plan, fitted=self._own_states())
            roster.prepare_later(self.message())
            return self._data
        self._extend(roster.fit)
        self._open = False
        loaded = load(self._parts.transformers, self.plan.source)
        if self.plan.source != self._data.agreed:
            self._renew(roster, post, seconds, check)
        states = self._fit(loaded, Summaries(roster, post, seconds, check))
        self.plan = replace(self.plan, fitted=states)
        self._renew(roster, post, seconds, check)
        return self._prepared(states, loaded)

    def _own_states(self) -> dict[str, State]:
        steps = pipeline.fitted_steps(self._parts.transformers)
        return {name: self._data.fitted[name] for name in steps}

    def _prepared(self, states: Mapping[str, State], loaded: Loaded | None = None) -> Prepared:
        transformers = self._parts.transformers
        loaded = loaded or load(transformers, self.plan.source)
        return pipeline.apply(transformers, loaded, self._task.seed, fitted=states)

    def _renew(
        self, roster: Executors, post: Post, seconds: float, check: Callable[[], None]
    ) -> None:
        """Have every node prepare by the plan as it is now."""
        roster.prepare_again(self.message())
        ends = time.monotonic() + seconds
        roster.refresh()
        while roster.preparing and time.monotonic() < ends:
            check()
            post.wait(0.2)
            roster.refresh()

    def _extend(self, members: Sequence[ConnectedExecutor]) -> None:
        """Add the categories that sites publish to those of the schema."""
        found: dict[str, set[str]] = {}
        for member in members:
            published = differences_of(member.told, self.plan.source).found
            for name, names in published.items():
                found.setdefault(name, set()).update(names)
        linked = self._source.linked if isinstance(self._source, SupportsLinkedFields) else ()
        for group in linked:
            together = set().union(*(found.get(name, ()) for name in group))
            found |= {name: together for name in group if together}
        source = self.plan.source
        fields = [self._extended(one, found.get(one.name, set())) for one in source.schema.fields]
        schema = replace(source.schema, fields=tuple(fields))
        self.plan = replace(self.plan, source=replace(source, schema=schema))

    def _extended(self, field: Field, names: set[str]) -> Field:
        """Return a field with more categories, in the order that a pooled table would have."""
        known = set(field.categories or ())
        if field.name in self._declared or field.categories is None or names <= known:
            return field
        stands = {OTHER} if field.unknown is Unknown.other else set()
        whole = with_other(ordered((known | names) - stands), field.unknown)
        return replace(field, categories=whole)

    def _fit(self, loaded: Loaded, summaries: Summaries) -> dict[str, State]:
        """Return the states of the fitted steps, each fitted behind those before it."""
        states: dict[str, State] = {}
        for name, step in pipeline.fitted_steps(self._parts.transformers).items():
            like = pipeline.summarise(self._parts.transformers, loaded, states, name)
            found = summaries.of(name, states, like)
            if not found:
                raise DataError(f"no node has sent a summary from which '{name}' can be fitted")
            step.fit(found)
            states[name] = step.state()
        return states


class Summaries:
    """Asks nodes for the summaries of their rows.

    Args:
        roster: Who is there.
        post: Where messages go.
        seconds: To wait for all of them.
        check: Called now and then; raises where the task is to end.
    """

    def __init__(
        self, roster: Executors, post: Post, seconds: float, check: Callable[[], None]
    ) -> None:
        self._roster, self._post, self._seconds, self._check = roster, post, seconds, check

    def of(self, step: str, fitted: Mapping[str, State], like: State) -> list[State]:
        """Return the summaries for a step, in the order of the nodes' names.

        Those that are no summaries are refused, and so is who sent them.

        Args:
            step: Its name.
            fitted: States of the fitted steps before it.
            like: A summary as it has to be: its names, kinds and sizes.
        """
        request, asked = preparation.pack_summary_request(step, fitted), {}
        for member in self._roster.fit:
            if member.own and (message := self._post.push(member.number, request)) is not None:
                asked[message] = member
        found: dict[str, State] = {}
        ends = time.monotonic() + self._seconds
        while asked and time.monotonic() < ends:
            self._check()
            self._roster.refresh()
            there = self._roster.members
            asked = {m: who for m, who in asked.items() if who.number in there}
            for answer in self._post.pull(asked, most=len(asked) or 1):
                member = asked.pop(answer.message)
                try:
                    found[member.name] = _summary(answer, step, like)
                except (WireError, KeyError, TypeError, ValueError) as error:
                    self._roster.exclude(member, str(error))
            if asked:
                self._post.wait(0.2)
        for member in asked.values():
            self._roster.exclude(member, f"it sent no summary for '{step}' in time")
        return [found[name] for name in sorted(found)]


def _summary(answer: Any, step: str, like: State) -> State:
    """Return the summary in an answer.

    Raises:
        WireError: There is none, or it is not as it has to be.
    """
    if answer.error:
        raise WireError(f"it sent no summary for '{step}': {answer.error}")
    if kind_of(answer.content) == "refused":
        raise WireError(str(unpack_note(answer.content, "refused").get("reason"))[:500])
    summary = preparation.unpack_summary(answer.content)
    if why := fault(summary, like):
        raise WireError(f"its summary for '{step}' is refused: {why}")
    return summary


def differences_of(told: Mapping[str, Any], source: SourceSchema) -> Differences:
    """Return how a node says that its data differ from the task's schema.

    Args:
        told: What it says of itself.
        source: The schema; other names than its fields' are passed over.

    Raises:
        KeyError or TypeError: What it says is incomplete, or no such thing.
    """
    schema = source.schema
    if "missing" not in told:
        return Differences()
    counts = {
        key: {n: int(k) for n, k in told[key].items() if n in schema}
        for key in ("unknown", "handled")
    }
    shown = {n: v for n, v in told["categories"].items() if n in schema and _are_names(v)}
    return Differences(
        missing=tuple(str(n) for n in told["missing"] if n in schema),
        kinds={n: _printed(v) for n, v in told["kinds"].items() if n in schema},
        unknown=counts["unknown"],
        handled=counts["handled"],
        found={name: tuple(names) for name, names in shown.items()},
    )


def _are_names(names: object) -> bool:
    return (
        isinstance(names, list)
        and len(names) <= _MOST
        and all(isinstance(name, str) and len(name) <= 1000 for name in names)
    )


def _printed(text: object) -> str:
    return "".join(c for c in str(text)[:80] if c.isprintable())

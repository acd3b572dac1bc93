"""The transformers of a task, folded: load, map, cut into clients, check."""

from __future__ import annotations

import functools
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from aeros_core import seeding
from aeros_core.data import Batch, Dataset, Partition
from aeros_core.errors import ConfigError
from aeros_core.fields.alignment import SourceSchema
from aeros_core.messages import State
from aeros_core.preprocessing.source_data import Loaded, Transformers, load, shareable
from aeros_core.roles.stateful import SupportsState
from aeros_core.roles.trainer import Trainer
from aeros_core.roles.transformer import (
    Partitioner,
    Source,
    SupportsFit,
    SupportsInverse,
    Transformer,
)
from aeros_core.schema import Schema

__all__ = [
    "Prepared",
    "apply",
    "check_schema",
    "fitted_steps",
    "inverse_transform",
    "output_schema",
    "prepare",
    "summarise",
    "transform",
]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data ready for training.

    Args:
        train: Every client's examples, in one table.
        test: The source's test split; None if it has none.
        partition: Which rows of ``train`` each client holds.
        fitted: States of the steps that keep one, by name.
        source: Schema of the data before the first step.
        agreed: The schema before the first step that other nodes bring their data to.
    """

    train: Dataset
    test: Dataset | None
    partition: Partition
    fitted: Mapping[str, State]
    source: Schema | None = None
    agreed: SourceSchema | None = None

    @property
    def schema(self) -> Schema:
        """Schema of the data after the last step."""
        return self.train.schema


def prepare(
    transformers: Transformers,
    seed: int,
    *,
    agreed: SourceSchema | None = None,
    fitted: Mapping[str, State] | None = None,
) -> Prepared:
    """Load the data, apply each step in order, and cut it into clients.

    Without a partitioner one client holds everything.

    Args:
        transformers: Source, steps and partitioner by name, in order.
        seed: Of the task.
        agreed: The schema that the data are brought to; None: as the source describes them.
        fitted: States of the fitted steps; None: they are fitted to these data.

    Raises:
        ConfigError: The order makes no sense, or a step cannot work on such data.
        DataError: The data are damaged, empty, or not finite.
    """
    return apply(transformers, load(transformers, agreed), seed, fitted=fitted)


def apply(
    transformers: Transformers,
    loaded: Loaded,
    seed: int,
    *,
    fitted: Mapping[str, State] | None = None,
    cut: bool = True,
) -> Prepared:
    """Apply each step to loaded data, and cut them into clients; see `prepare`.

    Args:
        transformers: Source, steps and partitioner by name, in order.
        loaded: What `load` returned.
        seed: Of the task.
        fitted: States of the fitted steps; None: they are fitted to these data.
        cut: Whether the partitioner cuts; where all rows are one client's, it drops the columns
            that only told clients apart.
    """
    train, test = loaded.train, loaded.test
    source, dropped = loaded.source, frozenset[str]()
    partition: Partition | None = None
    states: dict[str, State] = {}
    for name, step in list(transformers.items())[1:]:
        if isinstance(step, Source | Partitioner):
            _check_place(name, step, partition, transformers)
        if isinstance(step, Partitioner):
            names = train.schema.names
            if cut:
                partition = step.partition(train, seeding.stream(seed, "partition"))
            drop = functools.partial(_drop, step=step, agreed=None if cut else loaded.agreed)
            train, test = drop(train), None if test is None else drop(test)
            dropped = frozenset(names) - set(train.schema.names)
        elif isinstance(step, Transformer):
            rows = len(train)
            states |= _fit(name, step, train, fitted)
            train, test = _map(train, step), None if test is None else _map(test, step)
            _check_rows(name, partition, rows, len(train))
    return Prepared(
        train.check(),
        None if test is None else test.check(),
        _whole(len(train)) if partition is None else partition,
        states,
        source.without(*dropped),
        loaded.agreed or _agreed(transformers, source, dropped),
    )


def _agreed(transformers: Transformers, source: Schema, dropped: Collection[str]) -> SourceSchema:
    """Return the schema of these data as one that others bring theirs to."""
    optional = tuple(name for name in source.names if name in dropped)
    return SourceSchema(shareable(transformers, source.without(*dropped)), optional)


def fitted_steps(transformers: Transformers) -> dict[str, SupportsFit]:
    """Return the steps that are fitted to data, by name, in order."""
    return {
        name: step
        for name, step in transformers.items()
        if isinstance(step, SupportsFit) and isinstance(step, Transformer)
    }


def summarise(
    transformers: Transformers, loaded: Loaded, fitted: Mapping[str, State], name: str
) -> State:
    """Return a node's summary of its rows, from which one step is fitted.

    Args:
        transformers: Source, steps and partitioner by name, in order.
        loaded: The node's rows.
        fitted: States of the fitted steps before this one.
        name: Of the step.

    Raises:
        ConfigError: There is no such step, or a step cannot work on such data.
    """
    train = loaded.train
    for other, step in list(transformers.items())[1:]:
        if isinstance(step, Partitioner):
            train = _drop(train, step, loaded.agreed)
        elif isinstance(step, Transformer):
            if other == name and isinstance(step, SupportsFit):
                step.output_schema(train.schema)
                return step.summarise(train.batch())
            _fit(other, step, train, fitted)
            train = _map(train, step)
    raise ConfigError(
        f"transformer '{name}' is not fitted to data", exists=", ".join(fitted_steps(transformers))
    )


def output_schema(transformers: Transformers, loaded: Loaded) -> Schema:
    """Return the schema behind the last step; no step need be fitted."""
    schema = loaded.train.schema
    for step in list(transformers.values())[1:]:
        if isinstance(step, Transformer):
            schema = step.output_schema(schema)
        elif isinstance(step, Partitioner):
            schema = _dropping(step, schema, loaded.agreed)
    return schema


def _check_place(
    name: str, step: object, partition: Partition | None, chain: Iterable[str]
) -> None:
    if isinstance(step, Source):
        raise ConfigError(
            f"transformer '{name}' loads data, but is not the first",
            exists=f"transformer=[{','.join(chain)}]",
            hint="name one source, and name it first",
        )
    if partition is not None:
        raise ConfigError(
            f"transformer '{name}' is a second partitioner", hint="name one partitioner alone"
        )


def _check_rows(name: str, partition: Partition | None, before: int, after: int) -> None:
    if partition is not None and before != after:
        raise ConfigError(
            f"transformer '{name}' changes the number of rows after they were cut into clients",
            hint=f"name '{name}' before the partitioner",
        )


def _fit(
    name: str, step: Transformer, train: Dataset, fitted: Mapping[str, State] | None
) -> dict[str, State]:
    step.output_schema(train.schema)
    if isinstance(step, SupportsFit):
        if fitted is None:
            step.fit([step.summarise(train.batch())])
        elif name in fitted:
            step.restore(fitted[name])
        else:
            raise ConfigError(f"transformer '{name}' is not fitted yet")
    return {name: step.state()} if isinstance(step, SupportsState) else {}


def _map(data: Dataset, step: Transformer) -> Dataset:
    schema = step.output_schema(data.schema)
    columns = step.transform(data.batch())
    return Dataset(schema, {name: columns[name] for name in schema.names})


def _drop(data: Dataset, step: Partitioner, agreed: SourceSchema | None) -> Dataset:
    schema = _dropping(step, data.schema, agreed)
    return replace(data, schema=schema, columns={name: data.columns[name] for name in schema.names})


def _dropping(step: Partitioner, schema: Schema, agreed: SourceSchema | None) -> Schema:
    """Return a schema behind the partitioner; nodes may lack what it tells clients apart by."""
    return step.output_schema(schema) if agreed is None else schema.without(*agreed.optional or ())


def _whole(rows: int) -> Partition:
    return Partition(np.arange(rows), np.array([0, rows]))


def check_schema(trainer: Trainer, schema: Schema) -> None:
    """Hold the data's schema against what the model declares.

    Raises:
        ConfigError: They differ; names each difference, the chain and the model's wish.
    """
    wanted = trainer.expects(schema)
    if lines := schema.mismatches(wanted):
        several = len(schema.features) > len(wanted.features)
        raise ConfigError(
            "the data do not meet what the model declares: " + "; ".join(lines),
            exists="the data have\n" + _indent(schema) + "\n  the model declares\n"
            + _indent(wanted),
            hint="add the step 'stack' to make one vector of many columns"
            if several
            else "change the transformers (reshape, flatten, one_hot, …) or the model",
        )  # fmt: skip


def _indent(schema: Schema) -> str:
    return "\n".join(f"    {line}" for line in str(schema).splitlines())


def inverse_transform(steps: Iterable[SupportsInverse], output: Batch) -> Batch:
    """Apply the steps behind a model in order, on the path of a request."""
    for step in steps:
        output = step.inverse_transform(output)
    return output


def transform(steps: Iterable[Transformer], batch: Batch) -> Batch:
    """Apply steps in order, as on the path of a request."""
    for step in steps:
        batch = step.transform(batch)
    return batch

"""The transformers of a task, folded: load, map, cut into clients, check."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from aeros_core import streams
from aeros_core.data import Batch, Dataset, Partition
from aeros_core.errors import ConfigError, DataError
from aeros_core.messages import State
from aeros_core.powers import SupportsAnswers, SupportsFit, SupportsState
from aeros_core.roles import Partitioner, Source, Trainer, Transformer
from aeros_core.schema import Schema

__all__ = ["Prepared", "answer", "check_schema", "prepare", "transform"]


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data ready for training.

    Args:
        train: Every client's examples, in one table.
        test: The source's test split; None if it has none.
        partition: Which rows of ``train`` each client holds.
        fitted: States of the steps that keep one, by name.
        source: Schema of the data before the first step.
    """

    train: Dataset
    test: Dataset | None
    partition: Partition
    fitted: Mapping[str, State]
    source: Schema | None = None

    @property
    def schema(self) -> Schema:
        """Schema of the data after the last step."""
        return self.train.schema


def prepare(transformers: Mapping[str, Transformer | Source | Partitioner], seed: int) -> Prepared:
    """Load the data, apply each step in order, and cut it into clients.

    Without a partitioner one client holds everything.

    Raises:
        ConfigError: The order makes no sense, or a step cannot work on such data.
        DataError: The data are damaged, empty, or not finite.
    """
    train, test = _load(transformers)
    source = train.schema
    partition: Partition | None = None
    fitted: dict[str, State] = {}
    for name, step in list(transformers.items())[1:]:
        if isinstance(step, Source | Partitioner):
            _check_place(name, step, partition, transformers)
        if isinstance(step, Partitioner):
            partition = step.partition(train, streams.stream(seed, "partition"))
            names = train.schema.names
            train, test = _drop(train, step), None if test is None else _drop(test, step)
            source = source.without(*set(names) - set(train.schema.names))
        elif isinstance(step, Transformer):
            rows = len(train)
            fitted |= _fit(name, step, train)
            train, test = _map(train, step), None if test is None else _map(test, step)
            _check_rows(name, partition, rows, len(train))
    return Prepared(
        train.check(),
        None if test is None else test.check(),
        _whole(len(train)) if partition is None else partition,
        fitted,
        source,
    )


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


def _fit(name: str, step: Transformer, train: Dataset) -> dict[str, State]:
    step.output_schema(train.schema)
    if isinstance(step, SupportsFit):
        step.fit([step.summarise(train.batch())])
    return {name: step.state()} if isinstance(step, SupportsState) else {}


def _load(
    transformers: Mapping[str, Transformer | Source | Partitioner],
) -> tuple[Dataset, Dataset | None]:
    name, source = next(iter(transformers.items()), ("", None))
    if not isinstance(source, Source):
        raise ConfigError(
            f"transformer '{name}' comes first but loads no data"
            if name
            else "no transformer is chosen, so there is no data",
            hint="name a source first, as in transformer=[digits,iid]",
        )
    train = source.load("train")
    if train is None or not len(train):
        raise DataError(f"transformer '{name}' loaded no example to train on")
    test = source.load("test")
    return train.check(), None if test is None else test.check()


def _map(data: Dataset, step: Transformer) -> Dataset:
    schema = step.output_schema(data.schema)
    columns = step.transform(data.batch())
    return Dataset(schema, {name: columns[name] for name in schema.names})


def _drop(data: Dataset, step: Partitioner) -> Dataset:
    schema = step.output_schema(data.schema)
    return replace(data, schema=schema, columns={name: data.columns[name] for name in schema.names})


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


def answer(steps: Iterable[SupportsAnswers], output: Batch) -> Batch:
    """Apply the steps behind a model in order, on the path of a request."""
    for step in steps:
        output = step.answer(output)
    return output


def transform(steps: Iterable[Transformer], batch: Batch) -> Batch:
    """Apply steps in order, as on the path of a request."""
    for step in steps:
        batch = step.transform(batch)
    return batch

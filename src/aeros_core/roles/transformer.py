"""Load, map and partition data; what only some sources and steps can do."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np

from aeros_core.data import Batch, Dataset, Partition
from aeros_core.fields.alignment import Differences, SourceSchema
from aeros_core.messages import State
from aeros_core.roles.stateful import SupportsState
from aeros_core.schema import Schema

__all__ = [
    "Partitioner",
    "Source",
    "Split",
    "SupportsAttribution",
    "SupportsFit",
    "SupportsInverse",
    "SupportsLinkedFields",
    "SupportsObservedRanges",
    "SupportsPublicRows",
    "SupportsSchema",
    "Transformer",
]

Split: TypeAlias = Literal["train", "test"]


@runtime_checkable
class Source(Protocol):
    """Loads data: the first of the transformers."""

    def load(self, split: Split) -> Dataset | None:
        """Return the data of a split; None where there is no test split.

        Raises:
            ConfigError: A path or a column that was named does not exist.
            DataError: The data are there but damaged.
        """


@runtime_checkable
class Transformer(Protocol):
    """A step that maps data, and says what it does to the schema.

    The options in the group ``transformer`` are of three kinds: a `Source`, which comes
    first; steps like this one; and at most one `Partitioner`.
    """

    def transform(self, batch: Batch) -> Batch:
        """Return the batch after this step; the one passed in is never changed."""

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema after this step; called before any row passes through it.

        A step may remember from it which fields it works on. What it remembers is then
        part of its state (`SupportsState`), so that restoring it is enough to answer
        requests elsewhere. Requests carry no target: a step works without one.

        Raises:
            ConfigError: The step cannot work on such data.
        """


@runtime_checkable
class Partitioner(Protocol):
    """Cuts one data set into clients, for a simulation on one machine."""

    def partition(self, data: Dataset, rng: np.random.Generator) -> Partition:
        """Return which rows, counted within ``data``, each client holds.

        Raises:
            ConfigError: The data cannot be cut so; a client would be left with none.
        """

    def output_schema(self, schema: Schema) -> Schema:
        """Return the schema of the clients' data: without what only told them apart."""


@runtime_checkable
class SupportsFit(SupportsState, Protocol):
    """A transformer fitted to data that never leave their node.

    Each node summarises its own rows; the summaries travel, are merged on the task
    side, and the fitted state goes back to every node. A class attribute ``discloses``
    declares which kinds of information the summaries are, see `aeros_core.roles.disclosure`:
    sites decide by it, and refuse a step that declares nothing.
    """

    def summarise(self, batch: Batch) -> State:
        """Return sums over these rows from which the step can be fitted."""

    def fit(self, summaries: Iterable[State]) -> None:
        """Fit the step to the summaries of all nodes, in whatever order."""


@runtime_checkable
class SupportsSchema(Protocol):
    """A source that can load its data as an agreed schema says.

    `aeros_core.fields.alignment.align` brings the data of any source to a schema, by the names of
    fields and categories. This one reads the raw values with the schema in mind: a column of
    the texts ``01`` and ``02`` stays text where the schema has categories for it. Columns that
    the schema does not have, and options that name such, are no mistake then.
    """

    @property
    def declared(self) -> Collection[str]:
        """Names of fields whose categories the task declares; they are not extended."""

    @property
    def differences(self) -> Differences:
        """How the data of the last load differed from the agreed schema."""

    def adopt(self, agreed: SourceSchema) -> None:
        """Load from now on as ``agreed`` says, as far as the data can be brought to it."""

    def declaration(self, categories: Mapping[str, Sequence[str]]) -> str:
        """Return what to type so that the task declares categories of these fields.

        Args:
            categories: Those that are known already, by field.
        """


@runtime_checkable
class SupportsObservedRanges(Protocol):
    """A source whose ranges may be those of the rows it loaded, and no limits of the format."""

    @property
    def observes_ranges(self) -> bool:
        """Whether they are those of the rows; such ranges do not leave a node."""


@runtime_checkable
class SupportsLinkedFields(Protocol):
    """A source with fields that have the same categories, such as characters and the next one."""

    @property
    def linked(self) -> Collection[Collection[str]]:
        """Names of the fields that share their categories, by group."""


@runtime_checkable
class SupportsPublicRows(Protocol):
    """A source that says whether rows of its test split may be stored with every model."""

    @property
    def public(self) -> bool:
        """Whether anybody may have them, wherever a model goes."""


@runtime_checkable
class SupportsInverse(Protocol):
    """A step that goes on behind the model: what it did to the target is undone.

    It is stored with the model as every step is, in the state in which it was fitted.
    """

    def inverse_transform(self, output: Batch) -> Batch:
        """Return an output before this step; fields it does not know pass as they are.

        Args:
            output: What the model, or the step before, answers: ``scores`` and the like.
        """


@runtime_checkable
class SupportsAttribution(Protocol):
    """A step through which shares in an answer are brought back to the request."""

    def attributed(self, shares: Batch, batch: Batch) -> Batch:
        """Return the shares of the features before this step, given those behind it.

        Args:
            shares: Of every feature that the step gives, in its shape.
            batch: What the step was given, without a target.

        Returns:
            For every field of ``batch`` its shares, in its shape; a row's add up to what
            they added up to before.
        """

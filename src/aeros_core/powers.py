"""What only some implementations of a role can do: each a small Protocol of its own.

The core asks with ``isinstance`` and does without where the answer is no; a method that
raises NotImplementedError is never needed.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from aeros_core.alignment import Differences, SourceSchema
from aeros_core.counts import Count
from aeros_core.data import Batch, Dataset
from aeros_core.messages import Broadcast, Failure, Instruction, State, Update
from aeros_core.parameters import Array, Parameters
from aeros_core.roles import Codec, Inferencer
from aeros_core.tally import Refusal

__all__ = [
    "SupportsAnswers",
    "SupportsAttribution",
    "SupportsAveraging",
    "SupportsBriefing",
    "SupportsBroadcast",
    "SupportsBuffer",
    "SupportsCodec",
    "SupportsCohort",
    "SupportsCounts",
    "SupportsExplanation",
    "SupportsFit",
    "SupportsMembers",
    "SupportsPresence",
    "SupportsRefusals",
    "SupportsSchema",
    "SupportsState",
]


@runtime_checkable
class SupportsBroadcast(Protocol):
    """A collector that announces scalars or vectors to every trainer."""

    def broadcast(self, round: int) -> Broadcast:
        """Return what the instructions of this round carry."""


@runtime_checkable
class SupportsAveraging(Protocol):
    """A collector whose parameters to use are not those that training goes on from."""

    def averaged(self, parameters: Parameters) -> Parameters:
        """Return what is measured and published where training goes on from ``parameters``."""


@runtime_checkable
class SupportsBriefing(Protocol):
    """A collector that tells each trainer something of its own."""

    def brief(self, round: int, node: str) -> Broadcast:
        """Return what one node is told in this round, beside what all are told."""


@runtime_checkable
class SupportsBuffer(Protocol):
    """A collector that waits for no round: nodes are kept at work, and it takes what comes.

    Its updates are differences, and say in ``scalars["staleness"]`` how many rounds ended
    since their node was given the parameters it started from. An attribute
    ``max_staleness`` has older ones refused; a true attribute ``whole`` asks nodes for
    parameters where others get differences, and goes with no codec.
    """

    @property
    def buffer(self) -> int:
        """Number of updates that make a round."""


@runtime_checkable
class SupportsCodec(Protocol):
    """A collector whose nodes send their changes compressed.

    `aeros_core.compose` sets the attribute on the rule that ``collector/codec`` goes
    with; a rule need not know of it. Encoded updates are always differences.
    """

    codec: Codec


@runtime_checkable
class SupportsState(Protocol):
    """An object with a state that an exact resume has to bring back."""

    def state(self) -> State:
        """Return the state, as it is between two rounds."""

    def restore(self, state: State) -> None:
        """Take up what `state` returned."""


@runtime_checkable
class SupportsFit(SupportsState, Protocol):
    """A transformer fitted to data that never leave their node.

    Each node summarises its own rows; the summaries travel, are merged on the task
    side, and the fitted state goes back to every node. A class attribute ``discloses``
    declares which kinds of information the summaries are, see `aeros_core.disclosure`:
    sites decide by it, and refuse a step that declares nothing.
    """

    def summarise(self, batch: Batch) -> State:
        """Return sums over these rows from which the step can be fitted."""

    def fit(self, summaries: Iterable[State]) -> None:
        """Fit the step to the summaries of all nodes, in whatever order."""


@runtime_checkable
class SupportsSchema(Protocol):
    """A source that can load its data as an agreed schema says.

    `aeros_core.alignment.align` brings the data of any source to a schema, by the names of
    fields and categories. This one reads the raw values with the schema in mind: a column of
    the texts ``01`` and ``02`` stays text where the schema has categories for it. Columns that
    the schema does not have, and options that name such, are no mistake then.

    A source whose ranges are those of the rows it loaded, and not limits of the format, has a
    true attribute ``observes_ranges``: such ranges do not leave a node.
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
class SupportsAnswers(Protocol):
    """A step that goes on behind the model: what it did to the target is undone.

    It is stored with the model as every step is, in the state in which it was fitted.
    """

    def answer(self, output: Batch) -> Batch:
        """Return an answer after this step; fields it does not know pass as they are.

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


@runtime_checkable
class SupportsExplanation(Protocol):
    """An inferencer whose answers can be attributed to what it was given."""

    def explain(
        self, batch: Batch, columns: NDArray[np.int64], *, steps: int, baseline: Batch | None
    ) -> tuple[Batch, Array]:
        """Return what each value of prepared rows contributed, by integrated gradients.

        Args:
            batch: Prepared rows.
            columns: Which of the scores is explained, for each row (rows,).
            steps: Points at which gradients are taken.
            baseline: Rows to start from; None: zeros.

        Returns:
            For every feature its shares, in its shape; the score at the baseline (rows,).

        Raises:
            PluginError: A library is missing, or this model has no gradients.
        """


@runtime_checkable
class SupportsCohort(Protocol):
    """A trainer that trains many clients in one call."""

    def train_cohort(
        self, instructions: Sequence[Instruction], data: Sequence[Dataset]
    ) -> Iterator[Update | Failure]:
        """Yield the reply to each instruction, in order.

        What goes wrong with one node's data is that node's `Failure`; the others go on.
        Collectors hold several updates at a time: an update's vectors are its own, and
        not used again.
        """


@runtime_checkable
class SupportsMembers(Protocol):
    """An inferencer that asks others: a graph of several models, here or elsewhere."""

    @property
    def members(self) -> Mapping[str, Mapping[str, Any]]:
        """What each of them is, by name.

        ``model`` names a version in the repository, None the model that is loaded;
        ``inferencer`` is a configuration, None what goes with the model.
        """

    def take(self, members: Mapping[str, Inferencer]) -> None:
        """Take them; ``load`` loads them, and each is given raw batches."""


@runtime_checkable
class SupportsCounts(Protocol):
    """An inferencer that counts what it does; a server shows it among its metrics."""

    def counts(self) -> Iterable[Count]:
        """Return what there is to count now; called while requests are answered."""


@runtime_checkable
class SupportsPresence(Protocol):
    """Nodes that come and go while a task runs."""

    def wait_for(self, count: int, check: Callable[[], None]) -> None:
        """Wait until so many can be selected; say each minute who is missing.

        Args:
            count: How many a round needs.
            check: Called at least every second; raises where the task is to end.

        Raises:
            TaskError: They have not come in time.
        """


@runtime_checkable
class SupportsRefusals(Protocol):
    """Nodes behind a transport that refuses what the round loop never sees."""

    def refusals(self) -> Iterable[tuple[str, Refusal]]:
        """Return what was refused since the last call, with the name of who sent it."""

"""An AI task: sub-tasks with requirements, and how its rounds run.

`Task` is also the structured configuration of the group ``task``: each option is said once, here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum

from aeros_core.errors import ConfigError
from aeros_core.messages import Metrics
from aeros_core.options.metadata import former_name
from aeros_core.tasks.algorithm_pin import AlgorithmPin
from aeros_core.tasks.subtask import Kind, Subtask

__all__ = [
    "Evaluating",
    "Goal",
    "InferenceOutput",
    "InferenceSplit",
    "LateUpdates",
    "QuorumPolicy",
    "Stop",
    "Task",
    "check_name",
]


def check_name(name: str) -> None:
    """Refuse what cannot be the name of a task.

    Raises:
        ConfigError: It holds other signs than a folder and a model may be called with.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name):
        raise ConfigError(
            f"task.name={name} is not possible",
            exists="up to 100 letters, digits, '.', '_' and '-', the first a letter or a digit",
        )


class Goal(Enum):
    """The direction in which a metric gets better."""

    auto = "auto"
    maximize = "maximize"
    minimize = "minimize"


class QuorumPolicy(Enum):
    """What a round does that ends below its quorum."""

    fail = "fail"
    retry = "retry"
    extend = "extend"


class InferenceOutput(Enum):
    """What an inference brings home from the nodes."""

    statistics = "statistics"
    predictions = "predictions"


class InferenceSplit(Enum):
    """Which of the rows of its source a node answers about."""

    all = "all"
    train = "train"
    test = "test"


class LateUpdates(Enum):
    """What becomes of an update that comes after its round's deadline."""

    drop = "drop"
    use = "use"


@dataclass(frozen=True, slots=True)
class Evaluating:
    """When and where the global parameters are evaluated.

    Args:
        central: On the task side, over the source's own test split.
        federated: On the nodes, each over a part of its data that it does not train on.
        holdout: The part of each node's data kept for that, 0 to 1.
        every: Evaluate each so many rounds, and after the last.
    """

    central: bool = True
    federated: bool = False
    holdout: float = 0.2
    every: int = 1


@dataclass(frozen=True, slots=True)
class Stop:
    """When a task ends before its last round.

    Args:
        metric: Name of the metric to watch; central where there is one, else federated.
        target: Value that ends the task once reached; None: run every round.
        goal: Whether more or less is better; auto: less for a loss or an error
            (``loss``, ``mse``, ``mae``, ``rmse``), more for anything else.
    """

    metric: str = "accuracy"
    target: float | None = None
    goal: Goal = Goal.auto

    def reached(self, metrics: Metrics) -> bool:
        """Tell whether these metrics end the task.

        Raises:
            ConfigError: A target is set for a metric that is not measured.
        """
        if self.target is None or not metrics:
            return False
        if self.metric not in metrics:
            raise ConfigError(
                f"task.stop.metric={self.metric} is not measured by this task",
                exists=", ".join(sorted(metrics)),
                hint=f"task.stop.metric={sorted(metrics)[0]}",
            )
        value = metrics[self.metric]
        return value <= self.target if self.less else value >= self.target

    @property
    def less(self) -> bool:
        """Whether less of the metric is better."""
        if self.goal is not Goal.auto:
            return self.goal is Goal.minimize
        return self.metric.rsplit("_", 1)[-1] in ("loss", "mse", "mae", "rmse", "error")


def _one_training() -> dict[str, Subtask]:
    return {"train": Subtask(outputs=["model"])}


@dataclass(frozen=True, slots=True)
class Task:
    """A task that a user submits.

    Args:
        name: Name of the task, and of the model it trains.
        seed: Seed of every random stream of the task.
        rounds: Rounds to run in all.
        resume: Go on from the last committed round of the same task.
        start: A model of the repository that the first round starts from, ``NAME``,
            ``NAME:VERSION`` or ``NAME:TAG``; None: the trainer's own beginning.
        cohort: Nodes that take part in a round; None: all of them.
        quorum: Good updates a round needs to count.
        min_updates: Good updates after which a round waits for no more; None: for all. With
            more in ``cohort``, stragglers hold up no round.
        deadline: Seconds a round waits for updates; None: until all have come.
        below_quorum: What to do below the quorum. fail: end the task; retry: run the round again
            with another cohort; extend: wait for the deadline's time again.
        late: What becomes of an update that comes when its round is over. drop: it is refused
            and counted; use: it counts in the round that runs then, in place of what its node
            may send later in it, and says in ``scalars["staleness"]`` how many rounds it is old.
        attempts: Times that a round is run, or its deadline waited for, in all.
        max_norm: Largest L2 norm of an update's change; one above is refused. None: any.
        max_share: Largest share of a round's weight, as of its evaluation's, that one node may
            have, above 0, up to 1: where three or more nodes are asked, a node with more
            examples counts for fewer. 1: nothing is capped.
        ordered: Aggregate in the order of selection whatever the order of arrival, so
            that the same seed gives the same bits.
        evaluation: When and where to evaluate.
        stop: When to end early.
        algorithms: What it takes from the repository, by name: signed wheels that are
            verified, installed for this task alone, and offer their options in it.
        collect: What comes home where the task answers instead of training. statistics:
            figures of each node's answers; predictions: the answers too.
        samples: Rows of the test split, as they are trained on, that are stored with the model,
            0 to 256, to compare what it is written as with it; None: 16 of data that their
            source calls public, and none of others.
        split: The rows that are answered about: those of the source's training split, of its
            test split, or of both, in this order.
        subtasks: The workflow, by name.
    """

    name: str = "task"
    seed: int = 0
    rounds: int = 10
    resume: bool = False
    start: str | None = None
    cohort: int | None = None
    quorum: int = 1
    min_updates: int | None = field(default=None, metadata=former_name("enough"))
    deadline: float | None = None
    below_quorum: QuorumPolicy = field(default=QuorumPolicy.fail, metadata=former_name("below"))
    late: LateUpdates = LateUpdates.drop
    attempts: int = 3
    max_norm: float | None = None
    max_share: float = 0.5
    ordered: bool = True
    evaluation: Evaluating = field(default_factory=Evaluating)
    stop: Stop = field(default_factory=Stop)
    algorithms: dict[str, AlgorithmPin] = field(default_factory=dict)
    collect: InferenceOutput = InferenceOutput.statistics
    split: InferenceSplit = field(default=InferenceSplit.all, metadata=former_name("over"))
    samples: int | None = None
    subtasks: dict[str, Subtask] = field(default_factory=_one_training)

    def __post_init__(self) -> None:
        """Refuse values that no round could run with.

        Raises:
            ConfigError: A value is out of its range.
        """
        check_name(self.name)
        for name, pin in self.algorithms.items():
            pin.check(name)
        limits = [
            ("rounds", self.rounds, self.rounds >= 1, "at least 1"),
            ("cohort", self.cohort, self.cohort is None or self.cohort >= 1, "at least 1"),
            ("quorum", self.quorum, self.quorum >= 1, "at least 1"),
            ("min_updates", self.min_updates, (self.min_updates or self.quorum) >= self.quorum,
             f"at least task.quorum={self.quorum}"),
            ("deadline", self.deadline, self.deadline is None or self.deadline > 0, "above 0"),
            ("attempts", self.attempts, self.attempts >= 1, "at least 1"),
            ("max_norm", self.max_norm, self.max_norm is None or self.max_norm > 0, "above 0"),
            ("max_share", self.max_share, 0 < self.max_share <= 1, "above 0, up to 1"),
            ("samples", self.samples, self.samples is None or 0 <= self.samples <= 256,
             "0 to 256"),
            ("evaluation.every", self.evaluation.every, self.evaluation.every >= 1, "at least 1"),
            ("evaluation.holdout", self.evaluation.holdout, 0 < self.evaluation.holdout < 1,
             "between 0 and 1"),
        ]  # fmt: skip
        for name, value, good, allowed in limits:
            if not good:
                raise ConfigError(f"task.{name}={value} is not possible", exists=allowed)
        for name, value in (("quorum", self.quorum), ("min_updates", self.min_updates or 1)):
            if self.cohort is not None and value > self.cohort:
                raise ConfigError(
                    f"task.{name}={value} can never be met by task.cohort={self.cohort}",
                    hint=f"task.{name}={self.cohort}",
                )
        if self.below_quorum is QuorumPolicy.extend and self.deadline is None:
            raise ConfigError(
                "task.below_quorum=extend waits for the deadline again, but there is none",
                hint="task.deadline=60, or task.below_quorum=retry",
            )
        self._check_workflow()

    @property
    def infers(self) -> bool:
        """Whether nodes answer with a stored model instead of training one."""
        return any(subtask.kind == Kind.infer for subtask in self.subtasks.values())

    def _check_workflow(self) -> None:
        made = {name for subtask in self.subtasks.values() for name in subtask.outputs}
        for name, subtask in self.subtasks.items():
            if lost := sorted(set(subtask.inputs) - made):
                raise ConfigError(
                    f"sub-task '{name}' reads '{lost[0]}', which no sub-task makes",
                    exists=", ".join(sorted(made)) or "no output at all",
                    hint=f"task.subtasks.{name}.inputs=[…]",
                )
        kinds = {subtask.kind for subtask in self.subtasks.values()}
        if {Kind.train, Kind.infer} <= kinds:
            raise ConfigError(
                "a task trains or infers; task.subtasks does both",
                hint="aeros run, then aeros run task=inference task.start=MODEL",
            )

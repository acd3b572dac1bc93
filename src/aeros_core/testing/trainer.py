"""The contract of a trainer."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from aeros_core.data import Dataset
from aeros_core.errors import DataError
from aeros_core.messages import Action, Failure, Instruction, Update
from aeros_core.parameters import Parameters
from aeros_core.roles.disclosure import Disclosure, disclosed_by
from aeros_core.roles.trainer import SupportsCohort, Trainer
from aeros_core.schema import Field, Schema
from aeros_core.testing.options import OptionsContract

__all__ = ["TrainerTests"]


class TrainerTests(OptionsContract):
    """Tests that any trainer passes. A subclass defines `make`.

    ``make()`` returns a new trainer, which must be able to learn `data`: 60 examples of
    eight numbers each, in three well separated classes. A trainer that wants other data
    overrides `data` as well.
    """

    def make(self) -> Trainer:
        """Return a new trainer; every call the same."""
        raise NotImplementedError

    def data(self) -> Dataset:
        """Return data that the trainer can learn; every call the same."""
        rng = np.random.default_rng(7)
        labels = np.arange(60) % 3
        numbers = 2.0 * np.eye(3, 8)[labels] + 0.3 * rng.standard_normal((60, 8))
        schema = Schema(
            (
                Field("numbers", "float32", (8,)),
                Field("kind", "int64", categories=("a", "b", "c")),
            ),
            target="kind",
        )
        return Dataset(schema, {"numbers": numbers.astype(np.float32), "kind": labels})

    def use(self, part: Trainer) -> None:
        """Train on the data, and evaluate."""
        data = self.data()
        part.expects(data.schema)
        update = part.train(self.instruction(part), data)
        part.evaluate(update.parameters, data)

    def instruction(self, trainer: Trainer, seed: int = 3, **changes: Any) -> Instruction:
        """Return an instruction to train from the trainer's own initial parameters."""
        start = trainer.initialise(self.data().schema, 0)
        return replace(Instruction(1, "node-1", start, Action.TRAIN, seed), **changes)

    def test_is_a_trainer(self) -> None:
        """The object has every method of the role."""
        assert isinstance(self.make(), Trainer)

    def test_declares_what_it_discloses(self) -> None:
        """A site knows which kinds of information leave it before anything is trained."""
        kinds = disclosed_by(self.make())
        assert Disclosure.undeclared not in kinds, "set discloses = frozenset({Disclosure.updates})"

    def test_expects_the_data_it_can_learn(self) -> None:
        """What the trainer expects is met by data that fit it."""
        schema = self.data().schema
        assert schema.mismatches(self.make().expects(schema)) == []

    def test_expects_something_for_any_number_of_features(self) -> None:
        """A schema that does not fit is answered too, for the core to explain."""
        schema = self.data().schema
        many = schema.with_field(Field("more", "float32")).with_field(Field("other", "str"))
        for given in (many, Schema((schema[str(schema.target)],), schema.target)):
            assert self.make().expects(given).target == schema.target

    def test_initialises_from_the_seed(self) -> None:
        """The same schema and seed give the same bits, and nothing that is not finite."""
        schema = self.data().schema
        trainer = self.make()
        first = trainer.initialise(schema, 5)
        trainer.initialise(schema, 6)
        assert trainer.initialise(schema, 5).digest == first.digest
        assert self.make().initialise(schema, 5).digest == first.digest
        assert all(np.isfinite(np.asarray(vector)).all() for vector in first.vectors.values())

    def test_update_says_what_it_is(self) -> None:
        """Node, round, layout, examples and loss of an update are those of the training."""
        trainer = self.make()
        sent = self.instruction(trainer, round=4, node="node-9")
        update = trainer.train(sent, self.data())
        assert isinstance(update, Update)
        assert (update.node, update.round) == ("node-9", 4)
        assert update.examples == len(self.data())
        assert update.parameters.layout.digest == sent.parameters.layout.digest
        assert np.isfinite(update.metrics["loss"])
        assert all(np.isfinite(np.asarray(v)).all() for v in update.parameters.vectors.values())

    def test_training_learns(self) -> None:
        """After some rounds on the same data, their loss is lower."""
        trainer, data = self.make(), self.data()
        parameters = trainer.initialise(data.schema, 0)
        before = trainer.evaluate(parameters, data)["loss"]
        for number in range(1, 11):
            sent = Instruction(number, "node-1", parameters, seed=number)
            parameters = _trained(parameters, trainer.train(sent, data))
        assert trainer.evaluate(parameters, data)["loss"] < before

    def test_training_changes_nothing_it_was_given(self) -> None:
        """Neither the instruction's parameters nor the data change."""
        trainer, data = self.make(), self.data()
        sent = self.instruction(trainer)
        digest = sent.parameters.digest
        trainer.train(sent, data)
        assert sent.parameters.digest == digest
        for name, column in self.data().columns.items():
            np.testing.assert_array_equal(data.columns[name], column)

    def test_takes_parameters_and_data_that_are_read_only(self) -> None:
        """What a repository maps from a file may not be writeable."""
        trainer, data = self.make(), self.data()
        sent = self.instruction(trainer)
        expected = trainer.train(sent, data).parameters.digest
        for array in (*sent.parameters.vectors.values(), *data.columns.values()):
            array.setflags(write=False)
        assert trainer.train(sent, data).parameters.digest == expected
        trainer.evaluate(sent.parameters, data)

    def test_same_instruction_same_bits(self) -> None:
        """Neither what the trainer did before nor the random state around it matters."""
        trainer = self.make()
        sent = self.instruction(trainer)
        first = trainer.train(sent, self.data())
        trainer.train(self.instruction(trainer, seed=99), self.data())
        trainer.evaluate(sent.parameters, self.data())
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002  the global state is what must not matter
        assert trainer.train(sent, self.data()).parameters.digest == first.parameters.digest
        assert self.make().train(sent, self.data()).parameters.digest == first.parameters.digest

    def test_leaves_the_global_random_state_alone(self) -> None:
        """Training, evaluating and initialising draw nothing from global generators."""
        trainer, data = self.make(), self.data()
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002  the global state is what must not change
        sent = self.instruction(trainer)
        trainer.train(sent, data)
        trainer.evaluate(sent.parameters, data)
        drawn = (random.random(), np.random.random())  # noqa: NPY002, S311
        random.seed(1)
        np.random.seed(1)  # noqa: NPY002
        assert drawn == (random.random(), np.random.random())  # noqa: NPY002, S311

    def test_updates_do_not_share_memory(self) -> None:
        """An update stays what it was when the trainer goes on."""
        trainer = self.make()
        first = trainer.train(self.instruction(trainer), self.data())
        digest = first.parameters.digest
        trainer.train(self.instruction(trainer, seed=8), self.data())
        trainer.initialise(self.data().schema, 8)
        assert first.parameters.digest == digest

    def test_trains_on_its_own_rows_alone(self) -> None:
        """Rows of a table give the bits that a table of just these rows gives."""
        trainer, data = self.make(), self.data()
        rows = np.array([50, 3, 7, 21, 22, 40, 11], dtype=np.int64)
        mine = data.take(rows)
        copied = Dataset(data.schema, mine.batch())
        sent = self.instruction(trainer)
        here, there = trainer.train(sent, mine), trainer.train(sent, copied)
        assert here.examples == len(rows)
        assert here.parameters.digest == there.parameters.digest
        assert trainer.evaluate(sent.parameters, mine) == trainer.evaluate(sent.parameters, copied)

    def test_trains_on_one_example(self) -> None:
        """The smallest client there can be trains like any other."""
        trainer = self.make()
        one = self.data().take(np.array([4], dtype=np.int64))
        assert trainer.train(self.instruction(trainer), one).examples == 1

    def test_evaluates(self) -> None:
        """Metrics hold a finite loss, for classes the accuracy, and are always the same."""
        trainer, data = self.make(), self.data()
        start = trainer.initialise(data.schema, 0)
        digest = start.digest
        metrics = trainer.evaluate(start, data)
        trainer.train(self.instruction(trainer), data)
        assert all(isinstance(value, float) for value in metrics.values())
        assert np.isfinite(metrics["loss"])
        if data.schema[str(data.schema.target)].categories is not None:
            assert 0.0 <= metrics["accuracy"] <= 1.0
        assert trainer.evaluate(start, data) == metrics
        assert start.digest == digest

    def test_metrics_are_means_over_examples(self) -> None:
        """Parts of the data, weighted by their examples, have the metrics of the whole."""
        trainer, data = self.make(), self.data()
        start = trainer.initialise(data.schema, 0)
        cut = len(data) // 3
        parts = [data.take(np.arange(cut)), data.take(np.arange(cut, len(data)))]
        loss = sum(len(p) * trainer.evaluate(start, p)["loss"] for p in parts) / len(data)
        assert loss == pytest.approx(trainer.evaluate(start, data)["loss"], rel=1e-4)

    def test_refuses_data_without_an_example(self) -> None:
        """An empty client is an error of the data, said in words."""
        trainer = self.make()
        empty = self.data().take(np.empty(0, dtype=np.int64))
        sent = self.instruction(trainer)
        with pytest.raises(DataError, match="no example"):
            trainer.train(sent, empty)
        with pytest.raises(DataError, match="no example"):
            trainer.evaluate(sent.parameters, empty)

    def test_a_cohort_is_its_members(self) -> None:
        """A trainer of cohorts yields, in order, what it makes of each one alone."""
        trainer, data = self.make(), self.data()
        if not isinstance(trainer, SupportsCohort):
            pytest.skip("this trainer trains one client at a time")
        members = [data.take(np.arange(0, 10)), data.take(np.arange(10, 35)), data]
        sent = [self.instruction(trainer, seed=i, node=f"node-{i}") for i in range(len(members))]
        together = list(trainer.train_cohort(sent, members))
        for update, instruction, member in zip(together, sent, members, strict=True):
            alone = trainer.train(instruction, member)
            assert isinstance(update, Update)
            assert (update.node, update.examples) == (alone.node, alone.examples)
            for dtype, vector in alone.parameters.vectors.items():
                there = np.asarray(update.parameters.vectors[dtype])
                np.testing.assert_allclose(there, np.asarray(vector), rtol=1e-4, atol=1e-5)

    def test_a_member_without_an_example_is_its_own_failure(self) -> None:
        """In a cohort, an empty client fails at its turn, and the others go on."""
        trainer, data = self.make(), self.data()
        if not isinstance(trainer, SupportsCohort):
            pytest.skip("this trainer trains one client at a time")
        members = [data, data.take(np.empty(0, dtype=np.int64)), data]
        sent = [self.instruction(trainer, seed=i, node=f"node-{i}", round=4) for i in range(3)]
        replies = list(trainer.train_cohort(sent, members))
        assert [type(reply) for reply in replies] == [Update, Failure, Update]
        assert [(reply.node, reply.round) for reply in replies] == [
            (f"node-{i}", 4) for i in range(3)
        ]
        failure = replies[1]
        assert isinstance(failure, Failure)
        assert "no example" in failure.reason


def _trained(start: Parameters, update: Update) -> Parameters:
    """Return the parameters that an update stands for."""
    if not update.delta:
        return update.parameters
    vectors = {d: start.vectors[d] + v for d, v in update.parameters.vectors.items()}
    return Parameters(start.layout, vectors)

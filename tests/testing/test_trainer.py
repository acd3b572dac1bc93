"""The contracts of trainers and inferencers pass what is right, and catch what is not."""

import random
from dataclasses import replace

import numpy as np
import pytest

from aeros_core.errors import ConfigError, DataError
from aeros_core.messages import Failure, Update
from aeros_core.parameters import Layout, Parameters
from aeros_core.records import Model
from aeros_core.roles.disclosure import Disclosure
from aeros_core.schema import Field, Schema
from aeros_core.testing import InferencerTests, TrainerTests


def softmax(parameters, numbers):
    logits = numbers @ parameters["weight"] + parameters["bias"]
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exp / exp.sum(axis=1, keepdims=True)


class Softmax:
    """Softmax regression by stochastic gradient descent, one example after the other."""

    discloses = frozenset({Disclosure.counts, Disclosure.sums, Disclosure.updates})

    def expects(self, schema):
        return Schema((Field("numbers", "float32", (8,)), Field("kind", "int64")), schema.target)

    def initialise(self, schema, seed):
        layout = Layout.of({"weight": ((8, 3), "float32"), "bias": ((3,), "float32")})
        values = np.random.default_rng(seed).normal(size=27).astype("float32") * np.float32(0.1)
        return Parameters(layout, {"float32": values})

    def train(self, instruction, data):
        batch = self.rows(data)
        new = instruction.parameters.copy()
        for i in np.random.default_rng(instruction.seed).permutation(len(data)):
            numbers = batch["numbers"][i : i + 1]
            error = softmax(new, numbers)
            error[0, batch["kind"][i]] -= 1
            new["weight"][...] -= np.float32(0.1) * numbers.T @ error
            new["bias"][...] -= np.float32(0.1) * error[0]
        loss = self.evaluate(instruction.parameters, data)["loss"]
        return Update(instruction.node, instruction.round, new, len(data), {"loss": loss})

    def evaluate(self, parameters, data):
        batch = self.rows(data)
        scores = softmax(parameters, batch["numbers"])
        own = scores[np.arange(len(scores)), batch["kind"]]
        hits = scores.argmax(axis=1) == batch["kind"]
        return {"loss": float(-np.log(own).mean()), "accuracy": float(hits.mean())}

    def rows(self, data):
        if not len(data):
            raise DataError("there is no example")
        return data.batch()


class Cohorts(Softmax):
    """Trains clients together."""

    def train_cohort(self, instructions, data):
        for instruction, some in zip(instructions, data, strict=True):
            try:
                yield self.train(instruction, some)
            except DataError as error:
                yield Failure(instruction.node, instruction.round, str(error))


class Differences(Softmax):
    """Reports the difference."""

    def train(self, instruction, data):
        update = super().train(instruction, data)
        moved = {"float32": update.parameters.vector - instruction.parameters.vector}
        return replace(update, parameters=Parameters(update.parameters.layout, moved), delta=True)


def contract(trainer):
    return type("Contract", (TrainerTests,), {"make": lambda self: trainer()})


def only(kit, test, **own):
    """Return the contract with one test that is not left out."""
    left = {name for name in dir(kit) if name.startswith("test_")} - {f"test_{test}"}
    return type("Contract", (kit,), own | {name: lambda self: None for name in left})


@pytest.mark.parametrize("trainer", [Softmax, Cohorts, Differences])
def test_a_good_trainer_passes(failing, trainer):
    assert failing(contract(trainer)) == set()


class Secretive(Softmax):
    discloses = None


class WantsMore(Softmax):
    def expects(self, schema):
        return super().expects(schema).with_field(Field("more", "float32"))


class Chokes(Softmax):
    """Raises where the data do not fit, in place of saying what it wants."""

    def expects(self, schema):
        assert schema.names == ("numbers", "kind")
        return super().expects(schema)


class Unseeded(Softmax):
    def initialise(self, schema, seed):
        return super().initialise(schema, np.random.default_rng().integers(2**31))


class Anonymous(Softmax):
    def train(self, instruction, data):
        return replace(super().train(instruction, data), node="client-0")


class Backwards(Softmax):
    """Goes up the slope."""

    def train(self, instruction, data):
        update = super().train(instruction, data)
        away = 2 * instruction.parameters.vector - update.parameters.vector
        return replace(update, parameters=Parameters(update.parameters.layout, {"float32": away}))


class Overwrites(Softmax):
    def train(self, instruction, data):
        update = super().train(instruction, data)
        instruction.parameters.vector[...] = update.parameters.vector
        return update


class Normalises(Softmax):
    """Changes the data it was given."""

    def rows(self, data):
        data.columns["numbers"][...] /= 2
        return super().rows(data)


class Global(Softmax):
    """Draws from the global generator."""

    def train(self, instruction, data):
        seed = np.random.randint(2**31)  # noqa: NPY002
        return super().train(replace(instruction, seed=seed), data)


class GlobalPython(Softmax):
    def evaluate(self, parameters, data):
        random.random()
        return super().evaluate(parameters, data)


class Reuses(Softmax):
    """Returns the same buffer every time."""

    kept = None

    def train(self, instruction, data):
        update = super().train(instruction, data)
        self.kept = self.kept or update.parameters
        self.kept.vector[...] = update.parameters.vector
        return replace(update, parameters=self.kept)


class WholeTable(Softmax):
    def rows(self, data):
        return data.columns


class Batches(Softmax):
    """Cannot train on fewer examples than its batch."""

    def rows(self, data):
        if 0 < len(data) < 4:
            raise ValueError("too few")
        return super().rows(data)


class Integers(Softmax):
    def evaluate(self, parameters, data):
        return {**super().evaluate(parameters, data), "examples": len(data)}


class Sums(Softmax):
    """Adds losses up, in place of their mean."""

    def evaluate(self, parameters, data):
        metrics = super().evaluate(parameters, data)
        return {**metrics, "loss": metrics["loss"] * len(data)}


class AcceptsNothing(Softmax):
    def rows(self, data):
        return data.batch()

    def evaluate(self, parameters, data):
        return super().evaluate(parameters, data) if len(data) else {"loss": 0.0}


class EndsEarly(Softmax):
    """Lets one member's data end the cohort."""

    def train_cohort(self, instructions, data):
        yield from map(self.train, instructions, data)


class Mixes(Softmax):
    """Trains a cohort on one another's data."""

    def train_cohort(self, instructions, data):
        yield from map(self.train, instructions, reversed(data))


@pytest.mark.parametrize(
    ("trainer", "test"),
    [
        (object, "is_a_trainer"),
        (Secretive, "declares_what_it_discloses"),
        (WantsMore, "expects_the_data_it_can_learn"),
        (Chokes, "expects_something_for_any_number_of_features"),
        (Unseeded, "initialises_from_the_seed"),
        (Anonymous, "update_says_what_it_is"),
        (Backwards, "training_learns"),
        (Overwrites, "training_changes_nothing_it_was_given"),
        (Normalises, "training_changes_nothing_it_was_given"),
        (Overwrites, "takes_parameters_and_data_that_are_read_only"),
        (Global, "same_instruction_same_bits"),
        (Global, "leaves_the_global_random_state_alone"),
        (GlobalPython, "leaves_the_global_random_state_alone"),
        (Reuses, "updates_do_not_share_memory"),
        (WholeTable, "trains_on_its_own_rows_alone"),
        (Batches, "trains_on_one_example"),
        (Integers, "evaluates"),
        (Sums, "metrics_are_means_over_examples"),
        (AcceptsNothing, "refuses_data_without_an_example"),
        (Mixes, "a_cohort_is_its_members"),
        (EndsEarly, "a_member_without_an_example_is_its_own_failure"),
    ],
)
def test_what_is_wrong_with_a_trainer_is_caught(failing, trainer, test):
    kit = only(TrainerTests, test, make=lambda self: trainer())
    assert failing(kit) == {f"test_{test}"}


# ---------------------------------------------------------------- inferencers


class Answers:
    """Answers with softmax scores."""

    def load(self, model, module=None):
        self.parameters = model.parameters

    def predict(self, batch):
        if "numbers" not in batch:
            raise ConfigError("the batch has no field 'numbers'")
        return {"scores": softmax(self.parameters, batch["numbers"])}


def a_model(seed):
    schema = Schema((Field("numbers", "float32", (8,)),))
    return Model("m", Softmax().initialise(schema, seed), schema)


def asked():
    return {"numbers": np.random.default_rng(3).normal(size=(5, 8)).astype("float32")}


def answering(inferencer):
    return {
        "make": lambda self: inferencer(),
        "model": lambda self: a_model(1),
        "other": lambda self: a_model(2),
        "batch": lambda self: asked(),
    }


def test_a_good_inferencer_passes(failing):
    assert failing(type("Contract", (InferencerTests,), answering(Answers))) == set()


class Summary(Answers):
    def predict(self, batch):
        return {"scores": super().predict(batch)["scores"].mean(axis=0, keepdims=True)}


class NeedsRows(Answers):
    def predict(self, batch):
        assert len(batch["numbers"])
        return super().predict(batch)


class Remembers(Answers):
    """Mixes what it answered before into what it answers."""

    last = 0.0

    def predict(self, batch):
        scores = super().predict(batch)["scores"] + self.last
        self.last = float(scores.sum())
        return {"scores": scores}


class Compares(Answers):
    def predict(self, batch):
        scores = super().predict(batch)["scores"]
        return {"scores": scores - scores.mean(axis=0)}


class FirstLoaded(Answers):
    def load(self, model, module=None):
        if not hasattr(self, "parameters"):
            super().load(model)


class Buffer(Answers):
    """Answers into the same array every time."""

    out = None

    def predict(self, batch):
        scores = super().predict(batch)["scores"]
        if self.out is None or self.out.shape != scores.shape:
            self.out = scores
        self.out[...] = scores
        return {"scores": self.out}


class Centres(Answers):
    def predict(self, batch):
        batch["numbers"][...] -= 1
        return super().predict(batch)


class Crashes(Answers):
    def predict(self, batch):
        return {"scores": softmax(self.parameters, batch["numbers"])}


@pytest.mark.parametrize(
    ("inferencer", "test"),
    [
        (object, "is_an_inferencer"),
        (Summary, "answers_each_row_once"),
        (NeedsRows, "answers_no_rows_with_no_rows"),
        (Remembers, "same_batch_same_answer"),
        (Compares, "rows_do_not_depend_on_one_another"),
        (FirstLoaded, "another_model_answers_differently"),
        (Buffer, "answers_stay_as_they_are"),
        (Centres, "changes_nothing_it_was_given"),
        (Crashes, "names_a_missing_field"),
    ],
)
def test_what_is_wrong_with_an_inferencer_is_caught(failing, inferencer, test):
    assert failing(only(InferencerTests, test, **answering(inferencer))) == {f"test_{test}"}

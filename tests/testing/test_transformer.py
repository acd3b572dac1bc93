"""The contracts of sources, steps and partitioners pass what is right, and catch what is not."""

from dataclasses import replace

import numpy as np
import pytest

from aeros_core.data import Dataset, Partition
from aeros_core.roles.disclosure import Disclosure
from aeros_core.schema import Field, Schema
from aeros_core.testing import PartitionerTests, SourceTests, TransformerTests

SCHEMA = Schema(
    (Field("x", "float32", (2,)), Field("kind", "int64", categories=("a", "b", "c"))),
    target="kind",
)


def table(seed=0, rows=24):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2)).astype("float32")
    return Dataset(SCHEMA, {"x": x, "kind": np.arange(rows) % 3})


def contract(kit, made, **says):
    own = {"make": lambda self: made(), "example": lambda self: table()}
    return type("Contract", (kit,), own | says)


def only(kit, made, test, **says):
    """Return the contract with one test that is not left out."""
    left = {name for name in dir(kit) if name.startswith("test_")} - {f"test_{test}"}
    return contract(kit, made, **says, **{name: lambda self: None for name in left})


# ---------------------------------------------------------------- sources


class Table:
    def load(self, split):
        return table(0 if split == "train" else 1)


class Alone:
    """Has no test split."""

    def load(self, split):
        return table() if split == "train" else None


@pytest.mark.parametrize("source", [Table, Alone])
def test_a_good_source_passes(failing, source):
    assert failing(contract(SourceTests, source)) == set()


class Empty(Table):
    def load(self, split):
        return table(rows=0)


class Shaky(Table):
    """Loads something else each time."""

    def load(self, split):
        return table(np.random.default_rng().integers(2**31))


class Wide(Table):
    """Holds float64 where it says float32."""

    def load(self, split):
        data = table()
        return replace(data, columns={**data.columns, "x": data.columns["x"].astype("float64")})


class Uncounted(Table):
    """Holds a class that it does not name."""

    def load(self, split):
        data = table()
        return replace(data, columns={**data.columns, "kind": data.columns["kind"] + 1})


class Aimless(Table):
    def load(self, split):
        return replace(table(), schema=replace(SCHEMA, target="price"))


class Differing(Table):
    """Has another schema in its test split."""

    def load(self, split):
        return (
            table() if split == "train" else replace(table(), schema=replace(SCHEMA, target=None))
        )


@pytest.mark.parametrize(
    ("source", "test"),
    [
        (object, "is_a_source"),
        (Empty, "loads_examples_to_train_on"),
        (Wide, "schema_says_what_the_arrays_hold"),
        (Uncounted, "schema_says_what_the_arrays_hold"),
        (Aimless, "target_is_a_field"),
        (Differing, "splits_have_one_schema"),
        (Shaky, "loads_the_same_again"),
    ],
)
def test_what_is_wrong_with_a_source_is_caught(failing, source, test):
    assert failing(only(SourceTests, source, test)) == {f"test_{test}"}


# ---------------------------------------------------------------- steps


class Halve:
    """Halves x; nothing to remember."""

    def transform(self, batch):
        return {**batch, "x": batch["x"] / np.float32(2)}

    def output_schema(self, schema):
        return schema


class Largest(Halve):
    """Divides x by its largest absolute value, which is fitted."""

    discloses = frozenset({Disclosure.extremes})
    top = 1.0

    def summarise(self, batch):
        return {"top": float(np.abs(batch["x"]).max(initial=0.0))}

    def fit(self, summaries):
        self.top = max(float(s["top"]) for s in summaries)

    def state(self):
        return {"top": self.top}

    def restore(self, state):
        self.top = float(state["top"])

    def transform(self, batch):
        return {**batch, "x": batch["x"] / np.float32(self.top)}

    def output_schema(self, schema):
        return schema.with_field(replace(schema["x"], range=(-1.0, 1.0)))


class Thin(Halve):
    """Keeps every other row."""

    def transform(self, batch):
        return {name: column[::2] for name, column in batch.items()}


@pytest.mark.parametrize("step", [Halve, Largest])
def test_a_good_step_passes(failing, step):
    assert failing(contract(TransformerTests, step)) == set()


def test_a_good_step_that_changes_the_number_of_rows_passes(failing):
    assert failing(contract(TransformerTests, Thin, keeps_rows=False)) == set()


class AlsoLoads(Halve):
    def load(self, split):
        return table()


class Promises(Halve):
    """Says that x is shorter than it is."""

    def output_schema(self, schema):
        return schema.with_field(replace(schema["x"], shape=(1,)))


class Exceeds(Halve):
    """Leaves the range it promises."""

    def output_schema(self, schema):
        return schema.with_field(replace(schema["x"], range=(0.0, 0.1)))


class Counts(Halve):
    """Counts how often it was asked for its schema."""

    asked = 0

    def output_schema(self, schema):
        self.asked += 1
        return schema.with_field(replace(schema["x"], unit=f"{self.asked}"))


class InPlace(Halve):
    def transform(self, batch):
        batch["x"][...] /= 2
        return batch


class Noisy(Halve):
    def transform(self, batch):
        noise = np.random.default_rng().normal(size=batch["x"].shape).astype("float32")
        return {**batch, "x": batch["x"] + noise}


class ByBatch(Halve):
    """Divides by the largest value of each batch."""

    def transform(self, batch):
        return {**batch, "x": batch["x"] / np.abs(batch["x"]).max(initial=1e-9)}


class NeedsTarget(Halve):
    def transform(self, batch):
        return {"x": batch["x"] / np.float32(2), "kind": batch["kind"]}


class Forgets(Largest):
    def state(self):
        return {}

    def restore(self, state):
        pass


class Unstorable(Largest):
    """Keeps a matrix, where states are kept flat."""

    def state(self):
        return {"top": np.array([[self.top]])}

    def restore(self, state):
        self.top = float(state["top"][0, 0])


class Secretive(Largest):
    """Does not declare what its summaries disclose."""

    discloses = None


class LastCounts(Largest):
    """Takes the last summary for all of them."""

    def fit(self, summaries):
        self.top = float(list(summaries)[-1]["top"]) or 1.0


@pytest.mark.parametrize(
    ("step", "test"),
    [
        (object, "is_a_step"),
        (AlsoLoads, "is_a_step"),
        (Promises, "does_what_its_schema_says"),
        (Exceeds, "does_what_its_schema_says"),
        (Counts, "schema_is_the_same_again"),
        (InPlace, "changes_nothing_it_was_given"),
        (Noisy, "same_batch_same_bits"),
        (ByBatch, "maps_each_row_by_itself"),
        (NeedsTarget, "works_without_a_target"),
        (Forgets, "state_brings_everything_back"),
        (Unstorable, "state_brings_everything_back"),
        (Secretive, "declares_what_its_summaries_disclose"),
        (LastCounts, "fits_to_parts_as_to_the_whole"),
    ],
)
def test_what_is_wrong_with_a_step_is_caught(failing, step, test):
    assert failing(only(TransformerTests, step, test)) == {f"test_{test}"}


# ---------------------------------------------------------------- partitioners


class Even:
    """Deals shuffled rows out to three clients."""

    def partition(self, data, rng):
        cuts = np.linspace(0, len(data), 4).astype(np.int64)
        return Partition(rng.permutation(len(data)), cuts)

    def output_schema(self, schema):
        return schema


class ByKind(Even):
    """Gives each kind to one client."""

    def partition(self, data, rng):
        kind = data.batch()["kind"]
        cuts = np.searchsorted(np.sort(kind), [0, 1, 2, 3]).astype(np.int64)
        return Partition(np.argsort(kind, kind="stable"), cuts, ("a", "b", "c"))


def test_a_good_partitioner_passes(failing):
    assert failing(contract(PartitionerTests, Even)) == set()
    assert failing(contract(PartitionerTests, ByKind, random=False)) == set()


class Beyond(Even):
    def partition(self, data, rng):
        made = super().partition(data, rng)
        return replace(made, rows=made.rows + 1)


class Shares(Even):
    """Gives a row to two clients."""

    def partition(self, data, rng):
        made = super().partition(data, rng)
        return replace(made, rows=np.where(made.rows == 3, 4, made.rows))


class Drops(Even):
    """Leaves the last rows out."""

    def partition(self, data, rng):
        return Even().partition(data.take(np.arange(len(data) - 3)), rng)


class LeavesNone(Even):
    def partition(self, data, rng):
        made = super().partition(data, rng)
        return replace(made, offsets=made.offsets[[0, 1, 1, 3]])


class Namesakes(ByKind):
    def partition(self, data, rng):
        return replace(super().partition(data, rng), names=("a", "b", "a"))


class OwnDice(Even):
    """Draws from a generator of its own."""

    def partition(self, data, rng):
        return super().partition(data, np.random.default_rng())


class Fixed(Even):
    """Draws the same whatever the generator."""

    def partition(self, data, rng):
        return super().partition(data, np.random.default_rng(0))


class WholeTable(ByKind):
    """Looks at the table and not at the rows of the data."""

    def partition(self, data, rng):
        return super().partition(replace(data, rows=None), rng)


class Sorts(Even):
    def partition(self, data, rng):
        data.columns["kind"].sort()
        return super().partition(data, rng)


class DropsTarget(Even):
    def output_schema(self, schema):
        return schema.without("kind")


@pytest.mark.parametrize(
    ("partitioner", "test", "says"),
    [
        (object, "is_a_partitioner", {}),
        (Beyond, "rows_are_rows_of_the_data", {}),
        (Shares, "rows_are_rows_of_the_data", {}),
        (Drops, "rows_are_rows_of_the_data", {}),
        (LeavesNone, "every_client_has_examples", {}),
        (Namesakes, "every_client_has_a_name_of_its_own", {}),
        (OwnDice, "the_generator_decides", {}),
        (Fixed, "the_generator_decides", {}),
        (Even, "the_generator_decides", {"random": False}),
        (WholeTable, "rows_are_counted_within_the_data", {}),
        (Sorts, "changes_nothing_it_was_given", {}),
        (DropsTarget, "only_leaves_fields_out", {}),
    ],
)
def test_what_is_wrong_with_a_partitioner_is_caught(failing, partitioner, test, says):
    assert failing(only(PartitionerTests, partitioner, test, **says)) == {f"test_{test}"}


def test_a_partitioner_may_leave_rows_out_if_it_says_so(failing):
    assert failing(contract(PartitionerTests, Drops, complete=False)) == set()

"""The contract kit notices what breaks the contract."""

from dataclasses import replace

import numpy as np
import pytest

from aeros_core.data import Dataset, Partition
from aeros_core.schema import Field, Schema
from aeros_core.testing import PartitionerTests, SourceTests, TransformerTests
from aeros_transforms.config.steps import Per
from aeros_transforms.partitioners.iid import Iid
from aeros_transforms.sources.bundled import Iris
from aeros_transforms.steps.scaling.standardise import Standardise


def broken(kind, **methods):
    """Return a subclass with some methods replaced: each gets the true result first."""

    def wrap(name, change):
        def method(self, *args):
            return change(getattr(kind, name)(self, *args), *args)

        return method

    return type("Broken", (kind,), {name: wrap(name, m) for name, m in methods.items()})


def fails(kit, test, **hooks):
    case = type("Case", (kit,), {name: (lambda self, h=h: h()) for name, h in hooks.items()})()
    getattr(kit, test)(_right(kit))
    with pytest.raises(AssertionError):
        getattr(case, test)()


def _right(kit):
    """Return a case of the kit that passes."""
    hooks = {
        SourceTests: {"make": iris},
        TransformerTests: {"make": standardise, "example": example},
        PartitionerTests: {"make": lambda: Iid(clients=3), "example": example},
    }[kit]
    return type("Case", (kit,), {name: (lambda self, h=h: h()) for name, h in hooks.items()})()


def iris(kind=Iris):
    return kind(test_fraction=0.2, seed=0)


def standardise(kind=Standardise):
    return kind(fields=[], per=Per.feature)


def example():
    rng = np.random.default_rng(0)
    schema = Schema((Field("x", "float32", (2,)), Field("y", "float32", (), (0.0, 1.0))), "y")
    columns = {"x": rng.random((30, 2)) + 3, "y": rng.random(30)}
    return Dataset(schema, {name: c.astype(np.float32) for name, c in columns.items()})


def field(data, **changes):
    schema = data.schema.with_field(replace(data.schema.fields[0], **changes))
    return replace(data, schema=schema)


@pytest.mark.parametrize(
    ("change", "test"),
    [
        (lambda d, s: field(d, dtype="float64"), "test_schema_says_what_the_arrays_hold"),
        (lambda d, s: field(d, shape=(5,)), "test_schema_says_what_the_arrays_hold"),
        (lambda d, s: field(d, range=(0.0, 7.8)), "test_schema_says_what_the_arrays_hold"),
        (lambda d, s: field(d, categories=("a",)), "test_schema_says_what_the_arrays_hold"),
        (lambda d, s: replace(d, columns={}), "test_schema_says_what_the_arrays_hold"),
        (
            lambda d, s: replace(d, schema=replace(d.schema, target="z")),
            "test_target_is_a_field",
        ),
        (lambda d, s: None, "test_loads_examples_to_train_on"),
        (lambda d, s: d.take(np.arange(0)), "test_loads_examples_to_train_on"),
        (lambda d, s: d.take(np.random.permutation(len(d))), "test_loads_the_same_again"),  # noqa: NPY002
        (lambda d, s: field(d, unit="cm") if s == "test" else d, "test_splits_have_one_schema"),
    ],
)
def test_sources(change, test):
    fails(SourceTests, test, make=lambda: iris(broken(Iris, load=change)))


def spoil(out, batch):
    batch["x"][0] = 0
    return out


@pytest.mark.parametrize(
    ("methods", "test"),
    [
        ({"transform": lambda out, b: {"x": out["x"]}}, "test_does_what_its_schema_says"),
        (
            {"output_schema": lambda out, s: out.with_field(Field("x", "float32", (2,), (0, 1)))},
            "test_does_what_its_schema_says",
        ),
        ({"transform": lambda out, b: out | {"x": out["x"][::-1]}}, "test_maps_each_row_by_itself"),
        ({"transform": lambda out, b: {"x": out["x"] + len(b)}}, "test_works_without_a_target"),
        (
            {"state": lambda out: out | {"x.mean": out["x.mean"] + 1}},
            "test_state_brings_everything_back",
        ),
        (
            {"state": lambda out: out | {"x.mean": np.zeros((1, 2))}},
            "test_state_brings_everything_back",
        ),
        (
            {"summarise": lambda out, b: out | {"x.mean": out["x.mean"] * len(b["x"])}},
            "test_fits_to_parts_as_to_the_whole",
        ),
        (
            {"transform": lambda out, b: {"x": out["x"] + np.random.rand()}},  # noqa: NPY002
            "test_same_batch_same_bits",
        ),
    ],
)
def test_steps(methods, test):
    kind = broken(Standardise, **methods)
    fails(TransformerTests, test, make=lambda: standardise(kind), example=example)


def test_steps_that_change_their_input():
    kind = broken(Standardise, transform=spoil)
    case = _right(TransformerTests)
    case.make = lambda: standardise(kind)
    with pytest.raises(ValueError, match="read-only"):
        case.test_changes_nothing_it_was_given()


@pytest.mark.parametrize(
    ("change", "test"),
    [
        (lambda p: replace(p, rows=p.rows + 1), "test_rows_are_rows_of_the_data"),
        (lambda p: replace(p, rows=p.rows * 0), "test_rows_are_rows_of_the_data"),
        (lambda p: replace(p, rows=p.rows[:-1]), "test_rows_are_rows_of_the_data"),
        (lambda p: replace(p, rows=p.rows.astype(np.int32)), "test_rows_are_rows_of_the_data"),
        (
            lambda p: Partition(p.rows, np.array([0, 0, 10, 30])),
            "test_every_client_has_examples",
        ),
        (lambda p: replace(p, offsets=p.offsets + 1), "test_every_client_has_examples"),
        (lambda p: replace(p, names=("a", "a", "b")), "test_every_client_has_a_name_of_its_own"),
        (lambda p: Partition(np.arange(30), p.offsets), "test_the_generator_decides"),
        (
            lambda p: replace(p, rows=np.random.permutation(30)),  # noqa: NPY002
            "test_the_generator_decides",
        ),
    ],
)
def test_partitioners(change, test):
    kind = broken(Iid, partition=lambda out, data, rng: change(out))
    fails(PartitionerTests, test, make=lambda: kind(clients=3), example=example)


def test_partitioners_that_add_fields_or_drop_the_target():
    for change in (
        lambda out, s: out.with_field(Field("z", "float32")),
        lambda out, s: out.without("y"),
    ):
        kind = broken(Iid, output_schema=change)
        fails(
            PartitionerTests,
            "test_only_leaves_fields_out",
            make=lambda kind=kind: kind(clients=3),
            example=example,
        )

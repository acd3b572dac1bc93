"""Data brought to an agreed schema, by the names of columns and categories."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_core.data import Dataset
from aeros_core.fields.alignment import SchemaMismatch, SourceSchema, align
from aeros_core.fields.categories import codes_of, lookup, meaning_of, name_of, ordered
from aeros_core.schema import Field, Schema, Unknown

KINDS = ("blue", "green", "red")
SCHEMA = Schema(
    (
        Field("a", "float32"),
        Field("kind", "str", categories=KINDS),
        Field("y", "int64", categories=("0", "1", "2")),
    ),
    "y",
)


def texts(*values):
    column = np.empty(len(values), object)
    column[:] = values
    return column


def table(kinds, labels, order=(0, 1, 2), numbers=None):
    """Return a site's table: columns in an order, codes by its own sorted classes."""
    classes = tuple(sorted(set(labels)))
    fields = [
        Field("a", "float32"),
        Field("kind", "str", categories=tuple(sorted(set(kinds)))),
        Field("y", "int64", categories=classes),
    ]
    a = np.arange(len(kinds), dtype=np.float32) if numbers is None else numbers
    columns = [a, texts(*kinds), np.array([classes.index(label) for label in labels], np.int64)]
    names = [fields[i].name for i in order]
    return Dataset(
        Schema(tuple(fields[i] for i in order), "y"),
        dict(zip(names, [columns[i] for i in order], strict=True)),
    )


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from("012")), min_size=1),
    order=st.permutations([0, 1, 2]),
)
def test_any_order_of_columns_and_subset_of_categories_means_the_same(rows, order):
    kinds, labels = [kind for kind, _ in rows], [label for _, label in rows]
    found, differences = align(table(kinds, labels, order), SourceSchema(SCHEMA))
    assert found.schema == SCHEMA
    assert list(found.columns) == ["a", "kind", "y"]
    assert found.columns["kind"].tolist() == kinds
    assert found.columns["y"].tolist() == [int(label) for label in labels]
    assert not differences


@pytest.mark.parametrize("dtype", ["int64", "int8", "float64", "bool", "<U4", "object"])
def test_a_class_is_the_same_in_every_dtype(dtype):
    """0 and 1 are one class each, stored as numbers, booleans or texts."""
    values = np.array([0, 1, 1]).astype(dtype if dtype != "object" else "<U4")
    name = "str" if values.dtype.kind == "U" else values.dtype.name
    data = Dataset(Schema((Field("y", name),), "y"), {"y": values})
    wanted = Schema((Field("y", "int64", categories=("0", "1")),), "y")
    assert align(data, SourceSchema(wanted))[0].columns["y"].tolist() == [0, 1, 1]


def test_texts_of_numbers_become_numbers_and_others_are_named():
    def made(*values):
        field = Field("a", "str", categories=tuple(sorted(set(values))))
        return Dataset(Schema((field,)), {"a": texts(*values)})

    wanted = SourceSchema(Schema((Field("a", "float32"),)))
    assert align(made("1", "2.5", "True"), wanted)[0].columns["a"].tolist() == [1.0, 2.5, 1.0]
    for odd in ("hunter2", "nan", "1e999"):
        with pytest.raises(SchemaMismatch, match="column 'a' holds text, not numbers") as refused:
            align(made("1", odd), wanted)
        assert odd not in refused.value.asked


def test_everything_that_is_amiss_is_named_at_once():
    data = table(["red", "hunter2"], ["0", "7"])
    data = Dataset(data.schema.without("a"), {n: data.columns[n] for n in ("kind", "y")})
    with pytest.raises(SchemaMismatch) as refused:
        align(data, SourceSchema(SCHEMA))
    found = refused.value.differences
    assert (found.missing, dict(found.unknown)) == (("a",), {"kind": 1, "y": 1})
    assert "hunter2" not in "".join(found.lines())
    assert found.found["kind"] == ("hunter2", "red")


@pytest.mark.parametrize(
    ("rule", "categories", "value"),
    [(Unknown.zeros, KINDS, ""), (Unknown.other, (*KINDS, "other"), "other")],
)
def test_an_unknown_category_follows_the_rule(rule, categories, value):
    kind = Field("kind", "str", categories=categories, unknown=rule)
    wanted = SourceSchema(SCHEMA.with_field(kind))
    found, differences = align(table(["red", "pink"], ["0", "1"]), wanted)
    assert found.columns["kind"].tolist() == ["red", value]
    assert dict(differences.handled) == {"kind": 1}


def test_an_unknown_label_is_refused_whatever_the_rule_for_features():
    with pytest.raises(SchemaMismatch, match="column 'y' holds 1 category"):
        align(table(["red"], ["9"]), SourceSchema(SCHEMA))


def test_rows_to_predict_may_lack_the_label_or_hold_one_that_is_unknown():
    agreed = SourceSchema(SCHEMA, labelled=False)
    found, _ = align(table(["red", "red"], ["9", "1"]), agreed)
    assert found.columns["y"].tolist() == [-1, 1]
    data = table(["red"], ["0"])
    bare = Dataset(data.schema.without("y"), {n: data.columns[n] for n in ("a", "kind")})
    assert align(bare, agreed)[0].schema.target is None


def test_columns_that_the_schema_does_not_have_are_left_out_or_kept():
    data = table(["red"], ["0"])
    more = Dataset(
        data.schema.with_field(Field("site", "str", categories=("s1",))),
        {**data.columns, "site": texts("s1")},
    )
    assert align(more, SourceSchema(SCHEMA))[1].extra == ("site",)
    kept, _ = align(more, SourceSchema(SCHEMA, optional=("site",)))
    assert kept.schema.names == ("a", "kind", "y", "site")


def test_another_unit_or_shape_is_named():
    wanted = SourceSchema(Schema((Field("a", "float32", unit="cm"), Field("b", "float32", (2,)))))
    fields = (Field("a", "float32", unit="m"), Field("b", "float32", (3,)))
    data = Dataset(Schema(fields), {"a": np.zeros(1, np.float32), "b": np.zeros((1, 3), "f4")})
    with pytest.raises(SchemaMismatch) as refused:
        align(data, wanted)
    assert "column 'a' has another unit; column 'b' has another shape" in refused.value.asked


def test_a_schema_travels_as_json():
    agreed = SourceSchema(
        SCHEMA.with_field(Field("kind", "str", categories=KINDS, unknown=Unknown.zeros)), ("site",)
    )
    assert SourceSchema.from_json(agreed.to_json()) == agreed
    for broken in ({}, {"schema": {}, "optional": []}, {**agreed.to_json(), "optional": [1]}):
        with pytest.raises((LookupError, TypeError, AttributeError)):
            SourceSchema.from_json(broken)


@pytest.mark.parametrize(
    ("value", "name"), [(3, "3"), (3.0, "3"), (3.5, "3.5"), (True, "True"), ("a", "a")]
)
def test_a_value_has_one_name(value, name):
    assert name_of(value) == name_of(np.array([value])[0]) == name


@pytest.mark.parametrize(
    ("text", "meaning"),
    [("1.0", "1"), ("true", "1"), ("False", "0"), ("-2.50", "-2.5"), ("01", "01"), ("1_0", "1_0"),
     ("1e3", "1e3"), ("", ""), ("٣", "٣")],
)  # fmt: skip
def test_what_a_name_means_in_any_dtype(text, meaning):
    assert meaning_of(text) == meaning


def test_a_name_that_is_there_goes_before_what_it_means():
    assert lookup(["1.0", "1", "True", "x"], ["1", "1.0", "True"]).tolist() == [1, 0, 2, -1]
    field = Field("k", "str", categories=("a", "b"))
    codes, unknown = codes_of(field, texts("b", "c", "a"))
    assert (codes.tolist(), unknown) == ([1, -1, 0], ["c"])


def test_names_of_numbers_are_ordered_by_size():
    assert ordered(["10", "9", "-1"]) == ("-1", "9", "10")
    assert ordered(["b", "a", "10"]) == ("10", "a", "b")

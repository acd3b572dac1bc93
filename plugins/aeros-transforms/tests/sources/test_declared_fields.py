"""Categories and units that a task declares for its table."""

import numpy as np
import pandas as pd
import pytest

from aeros_core.errors import ConfigError, DataError
from aeros_core.fields.alignment import SchemaMismatch, SourceSchema
from aeros_core.schema import Unknown
from aeros_transforms.config import sources
from aeros_transforms.sources.declared_fields import to_type
from aeros_transforms.sources.npz import Npz
from aeros_transforms.sources.table import Table

ROWS = "kind,size,y\nred,1,0\nblue,2,1\nred,3,1\n"


def table(path, text=ROWS, **options):
    (path / "a.csv").write_text(text)
    usual = {"path": str(path / "a.csv"), "label": "y", "test_fraction": 0.0}
    values = vars(sources.Table(**(usual | options)))
    return Table(**{name: value for name, value in values.items() if name != "_target_"})


@pytest.mark.parametrize(
    ("declared", "names", "codes"),
    [
        ([1, 0], ("1", "0"), [1, 0, 0]),
        (["0", "1", "2"], ("0", "1", "2"), [0, 1, 1]),
        ([False, True], ("False", "True"), [0, 1, 1]),
        ([0.0, 1.0], ("0", "1"), [0, 1, 1]),
    ],
)
def test_classes_are_those_declared_in_their_order(tmp_path, declared, names, codes):
    data = table(tmp_path, categories={"y": declared}).load("train")
    assert data.schema["y"].categories == names
    assert data.columns["y"].tolist() == codes


def test_a_column_of_numbers_is_categories_where_they_are_declared(tmp_path):
    text = "zip,y\n01,0\n02,1\n"
    data = table(tmp_path, text, categories={"zip": ["02", "01"]}).load("train")
    assert data.schema["zip"].categories == ("02", "01")
    assert data.columns["zip"].tolist() == ["01", "02"]


def test_what_was_not_declared_is_refused_with_what_to_type(tmp_path):
    source = table(tmp_path, categories={"kind": ["red"], "y": [0, 1]})
    with pytest.raises(SchemaMismatch) as refused:
        source.load("train")
    assert refused.value.hint == ("'transformer.table.categories={kind: [red, blue], y: [0, 1]}'")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"categories": ["red"]}, "must map columns to lists of categories"),
        ({"categories": {"kind": "red"}}, "must have a list of categories, got red"),
        ({"categories": {"kind": []}}, "must have a list of categories"),
        ({"categories": {"kind": ["red", None]}}, "got null"),
        ({"categories": {"kind": [float("nan")]}}, "got nan"),
        ({"categories": {"kind": [["red"]]}}, "must be a text, a number or a boolean"),
        ({"categories": {"y": [1, 1.0]}}, "has '1' twice"),
        ({"categories": {"kin": ["red"]}}, "column 'kin' is not in"),
        ({"units": {"siz": "cm"}}, "column 'siz' is not in"),
        ({"units": "cm"}, "must map columns to units"),
        ({"unknown": "drop"}, "unknown=drop does not exist"),
        ({"categories": {"y": [0]}, "label_kind": "number"}, "label_kind=number"),
    ],
)
def test_what_is_no_declaration_is_refused(tmp_path, options, said):
    with pytest.raises(ConfigError, match=said):
        table(tmp_path, **options).load("train")


def test_units_are_part_of_the_schema(tmp_path):
    assert table(tmp_path, units={"size": "cm"}).load("train").schema["size"].unit == "cm"


@pytest.mark.parametrize(
    ("rule", "found"), [("zeros", ["red", "", "red"]), ("other", ["red", "other", "red"])]
)
def test_a_value_that_was_not_declared_follows_the_rule(tmp_path, rule, found):
    data = table(tmp_path, categories={"kind": ["red"]}, unknown=rule).load("train")
    assert data.columns["kind"].tolist() == found
    assert data.schema["kind"].unknown is Unknown(rule)


def test_a_test_file_in_another_order_dtype_and_with_a_category_of_its_own(tmp_path):
    (tmp_path / "t.csv").write_text("y,size,kind\n1.0,4,pink\n0.0,5,red\n")
    where = {"test_path": str(tmp_path / "t.csv")}
    test = table(tmp_path, unknown="other", **where).load("test")
    assert test.schema["kind"].categories == ("blue", "red", "other")
    assert test.columns["kind"].tolist() == ["other", "red"]
    declared = table(tmp_path, categories={"kind": ["red", "blue"], "y": [0, 1]}, **where)
    with pytest.raises(SchemaMismatch, match="column 'kind' holds 1 category"):
        declared.load("test")
    (tmp_path / "t.csv").write_text("y,size,kind\n1,big,red\n")
    with pytest.raises(DataError, match="column 'size' of the test file holds text"):
        table(tmp_path, **where).load("test")


def test_an_agreed_schema_decides_how_a_file_is_read(tmp_path):
    agreed = SourceSchema(table(tmp_path).load("train").schema)
    site = table(tmp_path, "y,more,kind,size\n1.0,2020-01-01,red,7\n", drop=["gone"])
    site.adopt(agreed)
    data = site.load("train")
    assert data.schema == agreed.schema
    assert (data.columns["kind"].tolist(), data.columns["y"].tolist()) == (["red"], [1])
    assert site.differences.extra == ("more",)


def test_labels_of_an_archive(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((3, 2)), y=np.array([2.0, 0.0, 2.0]))
    values = vars(sources.Npz(path=str(tmp_path / "a.npz"), test_fraction=0.0))
    values = {n: v for n, v in values.items() if n != "_target_"} | {"categories": {"y": [0, 1, 2]}}
    data = Npz(**values).load("train")
    assert data.schema["y"].categories == ("0", "1", "2")
    assert data.columns["y"].tolist() == [2, 0, 2]


@pytest.mark.parametrize("name", ["plain", "two words", 'a "quote"', "true", "01", "it's", "null"])
def test_what_is_to_be_typed_is_read_back(name):
    import shlex

    from hydra.core.override_parser.overrides_parser import OverridesParser

    typed = to_type("transformer.table.categories", {"kind": [name, "b"]})
    (word,) = shlex.split(typed)
    parsed = OverridesParser.create().parse_override(word).value()
    assert [str(getattr(v, "text", v)) for v in parsed["kind"]] == [name, "b"]


def test_pandas_reads_what_was_written(tmp_path):
    pd.DataFrame({"kind": ["a", "b"], "y": [True, False]}).to_parquet(tmp_path / "a.parquet")
    values = vars(sources.Table(path=str(tmp_path / "a.parquet"), label="y", test_fraction=0.0))
    values = {n: v for n, v in values.items() if n != "_target_"} | {"categories": {"y": [0, 1]}}
    assert Table(**values).load("train").columns["y"].tolist() == [1, 0]

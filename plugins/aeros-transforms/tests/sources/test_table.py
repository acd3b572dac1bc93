import gzip

import numpy as np
import pandas as pd
import pytest

from aeros_core.errors import ConfigError, DataError
from aeros_core.schema import Field
from aeros_core.testing import SourceTests
from aeros_transforms.config import sources
from aeros_transforms.sources.table import Table

CSV = "\ufeffsize,colour,ok,kind\n1,red,True,x\n2.5,blue,False,y\n-3,red,True,x\n4,blue,True,x\n"


def make(path, **options):
    values = vars(sources.Table(path=str(path), **{"label": "kind", **options}))
    return Table(**{name: value for name, value in values.items() if name != "_target_"})


@pytest.fixture
def file(tmp_path):
    """A function that writes a file and returns its path."""

    def write(content, name="a.csv"):
        data = content.encode() if isinstance(content, str) else content
        (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return tmp_path / name

    return write


def train(path, **options):
    return make(path, **{"test_fraction": 0.0, **options}).load("train")


class TestCsv(SourceTests):
    @pytest.fixture(autouse=True)
    def _file(self, file):
        self.path = file(CSV, "a.csv.gz")

    def make(self):
        return make(self.path, test_fraction=0.25)


class TestTwoFiles(SourceTests):
    @pytest.fixture(autouse=True)
    def _file(self, file):
        self.path = file(CSV)
        other = "kind,colour,ok,more,size\nz,green,True,0,99\n"
        self.test_path = file(other, "test.csv")

    def make(self):
        return make(self.path, test_path=str(self.test_path), group="colour")

    def test_ranges_and_categories_are_those_of_both_files(self):
        schema = self.train().schema
        assert schema["kind"].categories == ("x", "y", "z")
        assert schema["colour"].categories == ("blue", "green", "red")
        assert schema["size"].range == (-3, 99)
        assert make(self.path, test_path=str(self.test_path)).load("test").columns[
            "kind"
        ].tolist() == [2]


class TestParquet(SourceTests):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path):
        frame = pd.DataFrame(
            {
                "whole": pd.array([1, 2, 3, 4], dtype="Int64"),
                "text": pd.Categorical(["b", "a", "b", "c"]),
                "label": [0.5, 1.5, 2.5, 3.5],
            },
            index=["p", "q", "r", "s"],
        )
        self.path = tmp_path / "a.parquet"
        frame.to_parquet(self.path)

    def make(self):
        return make(self.path, label="label", test_fraction=0.5)

    def test_fields(self):
        assert self.train().schema.fields == (
            Field("whole", "float32", (), (1.0, 4.0)),
            Field("text", "str", categories=("a", "b", "c")),
            Field("label", "float32", (), (0.5, 3.5)),
        )


def test_equals_what_pandas_reads(file):
    data = train(file(CSV))
    frame = pd.read_csv(file(CSV), encoding="utf-8-sig")
    assert data.schema.fields == (
        Field("size", "float32", (), (-3.0, 4.0)),
        Field("colour", "str", categories=("blue", "red")),
        Field("ok", "float32", (), (0.0, 1.0)),
        Field("kind", "int64", categories=("x", "y")),
    )
    assert data.schema.target == "kind"
    assert data.columns["size"].tolist() == frame["size"].tolist()
    assert data.columns["colour"].tolist() == frame["colour"].tolist()
    assert data.columns["ok"].tolist() == frame["ok"].astype(float).tolist()
    names = np.array(data.schema["kind"].categories)
    assert names[data.columns["kind"]].tolist() == frame["kind"].tolist()


@pytest.mark.parametrize(
    ("column", "kind", "field", "values"),
    [
        ("10\n9\n10", "auto", Field("y", "int64", categories=("9", "10")), [1, 0, 1]),
        ("True\nFalse\nTrue", "auto", Field("y", "int64", categories=("False", "True")), [1, 0, 1]),
        ("b\na\nb", "auto", Field("y", "int64", categories=("a", "b")), [1, 0, 1]),
        ("b\na\nb", "category", Field("y", "int64", categories=("a", "b")), [1, 0, 1]),
        ("0.5\n1\n2", "auto", Field("y", "float32", (), (0.5, 2.0)), [0.5, 1, 2]),
        ("0.5\n1\n2", "category", Field("y", "int64", categories=("0.5", "1", "2")), [0, 1, 2]),
        ("10\n9\n10", "number", Field("y", "float32", (), (9.0, 10.0)), [10, 9, 10]),
    ],
)
def test_label(file, column, kind, field, values):
    data = train(file(f"y\n{column}\n"), label="y", label_kind=sources.LabelKind(kind))
    assert data.schema["y"] == field
    assert data.columns["y"].dtype == field.dtype
    assert data.columns["y"].tolist() == values
    by_name = train(file(f"y\n{column}\n"), label="y", label_kind=kind)
    assert by_name.schema == data.schema


def test_group_is_codes_named_by_its_values(file):
    data = train(file("a,engine,y\n1,17,0\n2,9,1\n3,17,0\n"), label="y", group="engine")
    assert data.schema["engine"] == Field("engine", "int64", categories=("9", "17"))
    assert data.columns["engine"].tolist() == [1, 0, 1]


def test_columns_and_drop(file):
    path = file("a,b,c,g,y\n1,2,3,4,0\n")
    assert train(path, label="y", columns=["c", "a"]).schema.names == ("a", "c", "y")
    assert train(path, label="y", drop=["b"]).schema.names == ("a", "c", "g", "y")
    assert train(path, label="y", columns=["c"], group="g").schema.names == ("c", "g", "y")


def test_label_stands_last(file):
    assert train(file("y,a\n0,1\n"), label="y").schema.names == ("a", "y")


@pytest.mark.parametrize(
    ("text", "separator"),
    [("1 2  x \n3 4 y\n", "whitespace"), ("1\t2\tx\n3\t4\ty\n", "tab"), ("1;2;x\n3;4;y\n", ";")],
)
def test_separators_and_no_header(file, text, separator):
    data = train(file(text, "a.txt"), label="2", header=False, separator=separator)
    assert data.schema.names == ("0", "1", "2")
    assert data.columns["1"].tolist() == [2, 4]
    named = train(
        file(text, "a.txt"), label="y", header=False, names=["a", "b", "y"], separator=separator
    )
    assert named.schema.names == ("a", "b", "y")


def test_missing_numbers_stay_for_the_core_to_report(file):
    data = train(file("a,y\n1,0\n,1\n3,1\n"), label="y")
    np.testing.assert_array_equal(data.columns["a"], np.array([1, np.nan, 3], np.float32))
    assert data.schema["a"].range == (1, 3)
    with pytest.raises(DataError, match="field 'a' holds NaN"):
        data.check()


def test_drop_missing_drops_rows(file):
    text = "a,b,y\n1,x,0\n,x,1\n3,,1\n4,z,\n5,x,2\n"
    data = train(file(text), label="y", drop_missing=True)
    assert data.columns["a"].tolist() == [1, 5]
    assert data.schema["b"].categories == ("x",)
    kept = train(file(text), label="y", drop_missing=True, drop=["b"])
    assert kept.columns["a"].tolist() == [1, 3, 5]


@pytest.mark.parametrize("column", ["b", "y"])
def test_missing_text_or_class_is_an_error(file, column):
    path = file("a,b,y\n1,x,p\n2,,\n3,,q\n" if column == "b" else "a,b,y\n1,x,p\n2,x,\n3,x,\n")
    with pytest.raises(DataError) as caught:
        train(path, label="y")
    assert str(caught.value) == (
        f"column '{column}' lacks 2 of 3 values, first in row 1\n"
        "  next: transformer.table.drop_missing=true leaves such rows out"
    )


def test_column_without_any_value_is_numbers_that_are_missing(file):
    data = train(file("a,y\n,0\n,1\n"), label="y")
    assert data.schema["a"] == Field("a", "float32")
    assert np.isnan(data.columns["a"]).all()


def test_path_is_not_set():
    with pytest.raises(ConfigError) as caught:
        make("")
    assert str(caught.value) == (
        "transformer.table.path is not set\n  next: transformer.table.path=<file>"
    )


def test_path_that_does_not_exist(tmp_path):
    with pytest.raises(ConfigError) as caught:
        make(tmp_path / "b.csv").load("train")
    assert caught.value.asked == f"transformer.table.path={tmp_path}/b.csv does not exist"


def test_test_path_that_does_not_exist(file, tmp_path):
    with pytest.raises(ConfigError) as caught:
        make(file(CSV), test_path=str(tmp_path / "b.csv")).load("train")
    assert caught.value.asked == f"transformer.table.test_path={tmp_path}/b.csv does not exist"


def test_label_that_does_not_exist(file):
    path = file(CSV)
    with pytest.raises(ConfigError) as caught:
        train(path, label="knid")
    assert str(caught.value) == (
        f"transformer.table.label=knid is not in {path}\n"
        "  exists: size, colour, ok, kind\n  next: transformer.table.label=kind"
    )


@pytest.mark.parametrize("option", ["group", "columns", "drop"])
def test_other_columns_that_do_not_exist(file, option):
    path = file(CSV)
    with pytest.raises(ConfigError) as caught:
        train(path, **{option: "color" if option == "group" else ["color"]})
    assert str(caught.value) == (
        f"transformer.table.{option}=color is not in {path}\n"
        f"  exists: size, colour, ok, kind\n  next: transformer.table.{option}=colour"
    )


def test_label_cannot_be_dropped(file):
    with pytest.raises(ConfigError) as caught:
        train(file(CSV), drop=["kind"])
    assert caught.value.asked == "transformer.table.drop names the label or the group"


def test_label_cannot_be_the_group():
    with pytest.raises(ConfigError) as caught:
        make("a.csv", group="kind")
    assert str(caught.value) == "transformer.table.group=kind is the label: by_group would drop it"


def test_text_is_no_number(file):
    with pytest.raises(ConfigError) as caught:
        train(file(CSV), label_kind="number")
    assert str(caught.value) == (
        "transformer.table.label_kind=number: column 'kind' holds text\n"
        "  next: transformer.table.label_kind=category"
    )


def test_test_file_that_lacks_a_column(file):
    path, other = file(CSV), file("size,kind\n1,x\n", "b.csv")
    with pytest.raises(DataError) as caught:
        make(path, test_path=str(other)).load("train")
    assert str(caught.value) == f"{other} lacks colour, ok, which {path} has"


@pytest.mark.parametrize(
    ("text", "options", "end"),
    [
        ("a,kind\n", {}, "holds no rows"),
        ("a,kind\n,x\n", {"drop_missing": True}, "holds no rows without a missing value"),
    ],
)
def test_no_rows(file, text, options, end):
    path = file(text)
    with pytest.raises(DataError) as caught:
        train(path, **options)
    assert str(caught.value) == f"{path} {end}"


def test_column_of_neither_numbers_nor_text(tmp_path):
    when = pd.to_datetime(["2024-01-01", "2024-01-02"])
    pd.DataFrame({"at time": when, "kind": [0, 1]}).to_parquet(tmp_path / "a.parquet")
    with pytest.raises(ConfigError) as caught:
        train(tmp_path / "a.parquet")
    assert str(caught.value) == (
        "column 'at time' holds datetime64 values, neither numbers nor text\n"
        "  next: 'transformer.table.drop=\"at time\"'"
    )

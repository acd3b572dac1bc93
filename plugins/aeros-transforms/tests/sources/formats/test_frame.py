import pandas as pd
import pytest

from aeros_core.errors import ConfigError, DataError
from aeros_transforms.sources.formats.frame import Layout


def read(tmp_path, content, name="a.csv", **options):
    path = tmp_path / name
    path.write_bytes(content)
    layout = Layout(**{"header": True, "names": (), "separator": ",", **options})
    return layout.read(path, "t.path")


@pytest.mark.parametrize(
    ("content", "name", "reason"),
    [
        (b"", "a.csv", "No columns to parse from file"),
        (
            b"a,b\n1,2\n1,2,3\n",
            "a.csv",
            "Error tokenizing data. C error: Expected 2 fields in line",
        ),
        (b"a,b\n\xff\xfe,1\n", "a.csv", "'utf-8' codec can't decode byte 0xff"),
        (b"no parquet", "a.parquet", ""),
    ],
)
def test_damaged(tmp_path, content, name, reason):
    with pytest.raises(DataError) as caught:
        read(tmp_path, content, name)
    assert caught.value.asked.startswith(f"{tmp_path / name} cannot be read as a table: {reason}")
    assert "\n" not in caught.value.asked


def test_lines_longer_than_the_header(tmp_path):
    with pytest.raises(DataError) as caught:
        read(tmp_path, b"a,b\nx,1,2\ny,3,4\n")
    assert str(caught.value) == (
        f"{tmp_path}/a.csv has lines with more values than there are column names"
    )
    with pytest.raises(DataError, match="more values than there are column names"):
        read(tmp_path, b"a,b\n7,1,2\n8,3,4\n")


def test_number_of_names(tmp_path):
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, b"1,2,3\n", header=False, names=("a", "b"))
    assert str(caught.value) == (
        f"transformer.table.names has 2 names, and {tmp_path}/a.csv has 3 columns"
    )


def test_names_beside_a_header():
    with pytest.raises(ConfigError) as caught:
        Layout(True, ("a",), ",")
    assert str(caught.value) == (
        "transformer.table.names is for a file without header\n"
        "  next: transformer.table.header=false"
    )


@pytest.mark.parametrize("separator", ["", ",,", "spaces"])
def test_separator(separator):
    with pytest.raises(ConfigError) as caught:
        Layout(True, (), separator)
    assert str(caught.value) == (
        f"transformer.table.separator={separator} is not possible\n"
        "  exists: one character, whitespace, tab"
    )


def test_index_of_a_parquet_file_is_left_out(tmp_path):
    pd.DataFrame({"a": [1, 2]}, index=["x", "y"]).to_parquet(tmp_path / "a.pq")
    frame = Layout(True, (), ",").read(tmp_path / "a.pq", "t.path")
    assert list(frame.columns) == ["a"]

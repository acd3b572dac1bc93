"""Whatever bytes a file holds, a source reads them or refuses them in one of our errors."""

import contextlib
import io
import zipfile

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aeros_core.errors import ConfigError, DataError
from aeros_core.testing.examples.fuzzing import damaged
from aeros_transforms.sources.mnist import Mnist
from aeros_transforms.sources.npz import Npz
from aeros_transforms.sources.table import Table
from aeros_transforms.sources.text import Text

RULES = {"categories": None, "unknown": "refuse"}

FRAME = pd.DataFrame(
    {
        "i": [1, 2, 3],
        "f": [1.5, 2, 2.5],
        "s": ["a", "b", "a"],
        "c": pd.Categorical(["x", "y", "x"]),
        "d": pd.to_datetime(["2020-01-01"] * 3),
        "n": pd.array([1, None, 3], dtype="Int64"),
        "l": [[1], [2, 3], []],
    }
)
TABLE = b'\xef\xbb\xbfi,s,"q"\r\n1,a,"x,y"\r\n2,b,"z"\r\n'
MORE = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def table(path, **options):
    defaults = {
        "test_path": None, "test_fraction": 0.0, "seed": 0, "label": None, "label_kind": "auto",
        "group": None, "columns": [], "drop": [], "header": True, "names": [], "separator": ",",
        "drop_missing": False, "units": None, **RULES,
    }  # fmt: skip
    return Table(path=str(path), **{**defaults, **options})


def read_or_refused(source):
    with contextlib.suppress(ConfigError, DataError):
        data = source.load("train")
        assert data is None or len(data) == len(next(iter(data.batch().values())))


def parquet(**options):
    file = io.BytesIO()
    FRAME.to_parquet(file, **options)
    return file.getvalue()


def archive():
    file = io.BytesIO()
    np.savez_compressed(file, x=np.arange(3.0), s=np.array(["a", "bc", "a"]), y=np.arange(3))
    return file.getvalue()


@pytest.mark.parametrize("packed", [{}, {"compression": "none"}, {"version": "1.0"}], ids=str)
@MORE
@given(data=st.data())
def test_parquet(tmp_path, packed, data):
    path = tmp_path / "a.parquet"
    path.write_bytes(data.draw(damaged(parquet(**packed))))
    read_or_refused(table(path, drop=["d", "l"]))


@MORE
@given(data=st.data())
def test_npz(tmp_path, data):
    path = tmp_path / "a.npz"
    path.write_bytes(data.draw(damaged(archive())))
    read_or_refused(Npz(path=str(path), label="y", test_fraction=0.0, seed=0, **RULES))


@MORE
@given(data=st.data(), content=st.binary(max_size=200))
def test_npz_whose_checksums_are_right(tmp_path, data, content):
    """Damage that the archive's own checksum does not find: within a member."""
    member = io.BytesIO()
    np.save(member, np.arange(3.0))
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("x.npy", data.draw(damaged(member.getvalue(), content)))
        file.writestr("y.npy", data.draw(st.sampled_from([member.getvalue(), content])))
    read_or_refused(Npz(path=str(path), label="y", test_fraction=0.0, seed=0, **RULES))


@pytest.mark.parametrize("options", [{}, {"header": False}, {"separator": "whitespace"}], ids=str)
@MORE
@given(data=st.data(), content=st.binary(max_size=100))
def test_separated_text(tmp_path, options, data, content):
    path = tmp_path / "a.csv"
    path.write_bytes(data.draw(st.sampled_from([content, data.draw(damaged(TABLE, content))])))
    read_or_refused(table(path, **options))


@MORE
@given(separator=st.characters(max_codepoint=0x2FF), content=st.text(max_size=60))
def test_any_separator(tmp_path, separator, content):
    path = tmp_path / "a.csv"
    path.write_text(content, encoding="utf-8", newline="")
    read_or_refused(table(path, separator=separator))


@pytest.mark.parametrize(
    "content",
    [
        b"a,b\0\n1,2\n",
        b"a,b\n1,\0\n\0,2\n",
        b"\0" * 100,
        b'a,b\n"1,2\n3,4\n',
        b'"',
        b'"a\nb",c\n1,2\n',
        b"a,b\n1,\xe9\n",
        "a,b\n1,é\n".encode("utf-16"),
        "a,b\n1,é\n".encode("utf-32"),
        b"a,b\n1,\xc3\xa9\n2,\xe9\n",
        b"a,a\n1,2\n",
        b"a,a.1,a\n1,2,3\n",
        b",,\n,,\n",
        b"a,b\n1e999999999,1\n",
        b"a,b\n" + b"9" * 5000 + b",1\n",
        b"a,b\n0x1p999999,1\n2020-99-99,1\n",
        b"\r\r\r",
        b"\xef\xbb\xbf",
        b"a\n" + b'"' * 1001,
        b"PK\3\4",
    ],
)
@pytest.mark.parametrize("header", [True, False])
def test_tables_that_are_odd(tmp_path, content, header):
    path = tmp_path / "a.csv"
    path.write_bytes(content)
    read_or_refused(table(path, header=header))


def test_two_columns_of_one_name(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"1,2\n3,4\n")
    with pytest.raises(DataError, match="has two columns called 'x'"):
        table(path, header=False, names=["x", "x"]).load("train")
    twice = FRAME[["f", "i"]].set_axis(["x", "x"], axis=1)
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table([twice.iloc[:, 0], twice.iloc[:, 1]], names=["x", "x"]), path)
    path.rename(tmp_path / "a.parquet")
    with pytest.raises(DataError, match="has two columns called 'x'"):
        table(tmp_path / "a.parquet").load("train")


def test_lists_and_times_of_parquet_are_named(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet())
    with pytest.raises(ConfigError, match="column 'd' holds datetime64 values"):
        table(path).load("train")
    with pytest.raises(ConfigError, match="column 'l' holds mixed values"):
        table(path, drop=["d"]).load("train")
    data = table(path, drop=["d", "l"]).load("train")
    assert data.schema.names == ("i", "f", "s", "c", "n")
    assert data.columns["s"].tolist() == ["a", "b", "a"]
    assert data.columns["c"].tolist() == ["x", "y", "x"]


@MORE
@given(data=st.data(), content=st.binary(max_size=60))
def test_images(tmp_path, data, content):
    for name, shape in (("images-idx3", (2, 3, 3)), ("labels-idx1", (2,))):
        whole = bytes([0, 0, 8, len(shape)])
        whole += b"".join(n.to_bytes(4, "big") for n in shape) + bytes(int(np.prod(shape)))
        changed = st.sampled_from([whole, data.draw(damaged(whole, content))])
        (tmp_path / f"train-{name}-ubyte").write_bytes(data.draw(changed))
    read_or_refused(Mnist(path=str(tmp_path)))


@MORE
@given(data=st.data(), content=st.binary(max_size=60))
def test_plays(tmp_path, data, content):
    path = tmp_path / "a.txt"
    path.write_bytes(data.draw(damaged(b"ROMEO:\nO, speak again\n\nJULIET:\nRomeo!\n", content)))
    options = {"window": 3, "stride": 1, "min_characters": 1, "test_fraction": 0.0}
    read_or_refused(Text(path=str(path), alphabet="", unknown="refuse", **options))

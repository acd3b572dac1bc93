"""Files that would fill the machine: what each takes is measured in a process of its own."""

import gzip
import io
import lzma
import subprocess
import sys
import textwrap
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from aeros_core.files import decompression

RULES = {"categories": None, "unknown": "refuse"}

MB = 2**20
READ = """
    import sys
    import numpy, pandas, pyarrow.parquet
    from aeros_core.errors import AerosError
    from aeros_transforms.sources.npz import Npz
    from aeros_transforms.sources.table import Table

    def kib():
        return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1])

    RULES = {"categories": None, "unknown": "refuse"}
    path = sys.argv[1]
    if path.endswith(".npz"):
        source = Npz(path=path, label="y", test_fraction=0.0, seed=0, **RULES)
    else:
        source = Table(path=path, test_path=None, test_fraction=0.0, seed=0, label=None,
            label_kind="auto", group=None, columns=[], drop=[], header=True, names=[],
            separator=",", drop_missing=False, units=None, **RULES)
    before = kib()
    try:
        data = source.load("train")
        print("read", len(data))
    except AerosError as error:
        print(error)
    print((kib() - before) // 1024)
"""


def outcome(path, env=None):
    """Return what a process that reads the file says, and the MiB that it took for it."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(READ), str(path)],
        capture_output=True, text=True, timeout=300, env=env, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    *said, took = done.stdout.splitlines()
    return "\n".join(said), int(took)


def array(shape, descr="<f8", content=b""):
    """Return a .npy file whose header says ``shape``."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"shape": shape, "fortran_order": False, "descr": descr}
    )
    return file.getvalue() + content


def archive(path, method=zipfile.ZIP_DEFLATED, **members):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(f"{name}.npy", content)
    return path


def test_one_long_text_among_many_rows(tmp_path):
    """Rows share their texts: 41 rows of text as wide as 10 MB took 3.75 GB."""
    path = tmp_path / "a.csv"
    path.write_text("x,text\n" + "1,short\n" * 40 + "2," + "z" * 10_000_000 + "\n")
    said, took = outcome(path)
    assert said == "read 41"
    assert took < 30 * 10


def test_one_long_text_that_all_rows_of_parquet_have(tmp_path):
    path = tmp_path / "a.parquet"
    codes = pa.array(np.zeros(400, np.int32))
    texts = pa.DictionaryArray.from_arrays(codes, pa.array(["z" * 10_000_000]))
    pq.write_table(pa.table({"text": texts, "x": np.zeros(400)}), path)
    said, took = outcome(path)
    assert said == "read 400"
    assert took < 30 * 10


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress], ids=["gz", "xz"])
def test_a_small_file_that_unpacks_to_gigabytes(tmp_path, pack):
    path = tmp_path / ("a.csv.gz" if pack is gzip.compress else "a.csv.xz")
    path.write_bytes(pack(b"a,b\n") + pack(b"1,2\n" * 2**20) * 512)
    said, took = outcome(path)
    assert path.stat().st_size < 3 * MB
    assert said.startswith(f"{path} becomes more than the ")
    assert f"{decompression.VARIABLE}=" in said
    assert took < 400


def test_a_small_file_of_many_short_lines(tmp_path):
    """Lines that are shorter than the first are filled up: rows times columns."""
    path = tmp_path / "a.csv"
    path.write_text(",".join(f"c{i}" for i in range(20_000)) + "\n" + "1\n" * 20_000)
    said, took = outcome(path)
    assert said.startswith(f"{path}, 20001 lines of 20000 columns, takes 2.98 GiB of memory")
    assert took < 400


SHAPES = [
    (2**40,), (2**40, 2**40), (2**62,), (2**64,), (2**40, 0), (0, 2**40), (-1,), (True, 3),
    (1,) * 70, (2**31, 2**31, 0),
]  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("descr", ["<f8", "<U0", "|V0", "<U2147483647"])
def test_arrays_that_announce_more_than_follows(tmp_path, shape, descr):
    path = archive(tmp_path / "a.npz", x=array(shape, descr), y=array((3,), "<i8", bytes(24)))
    said, took = outcome(path) if shape == (2**40,) else (loaded(path), 0)
    assert "array 'x'" in said, said
    assert took < 50


def loaded(path):
    from aeros_core.errors import DataError
    from aeros_transforms.sources.npz import Npz

    with pytest.raises(DataError) as caught:
        Npz(path=str(path), label="y", test_fraction=0.0, seed=0, **RULES).load("train")
    return str(caught.value)


def test_an_archive_that_announces_233_tib(tmp_path):
    path = archive(tmp_path / "a.npz", x=array((2**45,)), y=array((3,), "<i8", bytes(24)))
    assert outcome(path)[0].startswith(
        f"{path} is not an archive of plain numpy arrays: array 'x' is damaged: its header says"
        " 35184372088832 values of float64, 256 TiB, and 0 bytes follow\n"
    )


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_an_archive_packed_in_another_way(tmp_path, method):
    path = archive(tmp_path / "a.npz", method, x=array((3,), "<i8", bytes(24)))
    assert "array 'x' is packed in another way than numpy's are" in loaded(path)


def test_an_archive_with_an_unknown_compression(tmp_path):
    path = archive(tmp_path / "a.npz", y=array((3,), "<i8", bytes(24)))
    content = bytearray(path.read_bytes())
    for mark, place in ((b"PK\3\4", 8), (b"PK\1\2", 10)):
        content[content.index(mark) + place] = 97
    path.write_bytes(content)
    assert "array 'y' is packed in another way than numpy's are" in loaded(path)


def test_an_archive_that_unpacks_to_gigabytes(tmp_path):
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        with file.open("x.npy", "w", force_zip64=True) as member:
            member.write(array((2**28,)))
            for _ in range(2**11):
                member.write(bytes(2**20))
        file.writestr("y.npy", array((3,), "<i8", bytes(24)))
    said, took = outcome(path)
    assert said.startswith(f"array 'x' of {path} takes 2 GiB of memory, more than the 256 MiB")
    assert took < 50


def test_a_parquet_column_of_one_value(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": np.zeros(2**26), "y": np.zeros(2**26, np.int8)}), path)
    assert path.stat().st_size < MB
    said, took = outcome(path)
    assert said.startswith(f"column 'x' of {path} takes 512")
    assert took < 50


def test_the_bound_can_be_raised_and_is_linear(tmp_path, monkeypatch):
    assert decompression.allowed(10) == decompression.FLOOR
    assert decompression.allowed(10**9) == decompression.RATIO * 10**9
    path = tmp_path / "a.parquet"
    pd.DataFrame({"x": np.zeros(1_000_000)}).to_parquet(path)
    monkeypatch.setenv(decompression.VARIABLE, "1")
    said, _ = outcome(path)
    assert said.splitlines()[1].endswith("if the file is as it should be")
    number = said.split(f"{decompression.VARIABLE}=")[1].split()[0]
    monkeypatch.setenv(decompression.VARIABLE, number)
    assert outcome(path)[0] == "read 1000000"

import gzip
import lzma

import pytest

from aeros_core.errors import ConfigError, DataError
from aeros_transforms.sources.formats import compressed


@pytest.mark.parametrize(
    ("name", "pack"), [("a", bytes), ("a.gz", gzip.compress), ("a.xz", lzma.compress)]
)
def test_unpacks_by_name(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(b"some bytes"))
    assert compressed.read(tmp_path / name, "a.path") == b"some bytes"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.gz", b"no gzip"),
        ("a.gz", gzip.compress(b"some bytes" * 99)[:-9]),
        ("a.gz", gzip.compress(b"some bytes")[:12] + b"\xff" * 20),
        ("a.xz", b"no xz"),
        ("a.xz", lzma.compress(b"some bytes" * 99)[:-9]),
    ],
    ids=["no gzip", "gzip cut", "gzip garbled", "no xz", "xz cut"],
)
def test_damaged(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        compressed.read(tmp_path / name, "a.path")
    assert caught.value.asked.startswith(f"{tmp_path / name} is damaged: ")
    assert caught.value.hint == "fetch the file again"


def test_missing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        (tmp_path / f"{number:02}.csv").touch()
    with pytest.raises(ConfigError) as caught:
        compressed.read(tmp_path / "a.csv", "transformer.table.path")
    assert str(caught.value) == (
        f"transformer.table.path={tmp_path}/a.csv does not exist\n"
        f"  exists: {tmp_path} holds 00.csv, 01.csv, 02.csv, 03.csv, 04.csv, 05.csv, 06.csv,"
        " 07.csv, 08.csv, 09.csv and 2 more\n"
        f"  next: transformer.table.path=<path of the file>, seen from {tmp_path}"
    )


def test_missing_folder(tmp_path):
    with pytest.raises(ConfigError) as caught:
        compressed.read(tmp_path / "b" / "a.csv", "x.path")
    assert caught.value.exists == f"{tmp_path}/b does not exist either"


def test_empty_folder(tmp_path):
    with pytest.raises(ConfigError) as caught:
        compressed.read(tmp_path / "a.csv", "x.path")
    assert caught.value.exists == f"{tmp_path} holds no file"


def test_directory_is_no_file(tmp_path):
    with pytest.raises(ConfigError) as caught:
        compressed.read(tmp_path, "x.path")
    assert caught.value.asked == f"x.path={tmp_path} is a folder, not a regular file"

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aeros_zarr.stores.disk import Disk

BLOB = f"blobs/{'0123456789abcdef' * 4}"


@pytest.fixture
def disk(tmp_path):
    return Disk(tmp_path / "root", durable=False)


def test_names_are_sorted_and_none_where_there_is_no_folder(disk):
    assert disk.names("a") == []
    for name in ("b", "c", "a"):
        disk.replace(f"a/{name}", b"")
    assert disk.names("a") == ["a", "b", "c"]


def test_a_file_is_replaced_as_a_whole(disk):
    disk.replace("a/b/c", b"1")
    disk.replace("a/b/c", b"2")
    assert disk.read("a/b/c") == b"2"
    assert disk.exists("a/b/c")
    assert not disk.exists("a/b/d")
    assert disk.names("tmp") == []


def test_one_of_many_creates_a_file(disk):
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: disk.create("a/b", b"%d" % n), range(8)))
    assert sum(won) == 1
    assert disk.read("a/b") == b"%d" % won.index(True)
    assert disk.names("tmp") == []


def test_removing_takes_files_folders_and_what_is_gone(disk):
    disk.replace(f"{BLOB}/c.0", b"1")
    disk.replace(f"{BLOB}/zarr.json", b"{}")
    disk.replace("c", b"1")
    disk.remove(BLOB, "c", "c", BLOB)
    assert disk.names("") == ["blobs", "tmp"]
    assert disk.names("blobs") == []


def test_what_others_have_in_a_blob_stays(disk):
    disk.replace(f"{BLOB}/c.0", b"1")
    disk.replace(f"{BLOB}/zarr.json", b"{}")
    disk.replace(f"{BLOB}/notes.txt", b"mine")
    disk.remove(BLOB)
    assert disk.names(BLOB) == ["notes.txt"]
    with disk.staging(1) as [stage]:  # and the blob can be there again, beside it
        disk.write(stage / "c.0", b"2")
        disk.write(stage / "zarr.json", b"[]")
        disk.adopt({BLOB: stage})
    assert disk.names(BLOB) == ["c.0", "notes.txt", "zarr.json"]
    assert not disk.hide(BLOB, disk.now() + 60)
    assert disk.names(BLOB) == ["c.0", "notes.txt", "zarr.json"]


def test_a_link_in_the_place_of_a_blob_is_not_followed(disk, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "zarr.json").write_bytes(b"{}")
    (disk.root / "blobs").mkdir(parents=True)
    (disk.root / BLOB).symlink_to(elsewhere)
    disk.remove(BLOB)
    assert not disk.hide(BLOB, disk.now() + 60)
    assert (disk.root / BLOB).is_symlink()
    assert (elsewhere / "zarr.json").exists()


def test_staged_folders_appear_when_they_are_adopted(disk):
    with disk.staging(2) as [first, second]:
        disk.write(first / "x", b"1", memoryview(b"2"))
        assert disk.names("a") == []
        disk.adopt({"a/1": first})
        assert disk.read("a/1/x") == b"12"
        assert second.exists()
    assert disk.names("tmp") == []


def test_what_is_there_already_stays(disk):
    for content in (b"old", b"new"):
        with disk.staging(1) as [stage]:
            disk.write(stage / "zarr.json", content)
            disk.adopt({BLOB: stage})
    assert disk.read(f"{BLOB}/zarr.json") == b"old"
    assert disk.names("tmp") == []


def test_nothing_is_left_of_an_interrupted_staging(disk):
    def interrupted():
        with disk.staging(1) as [stage]:
            disk.write(stage / "c.0", b"1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert disk.names("tmp") == []


OURS = {
    "tmp/aeros-12-0123456789abcdef": b"",
    "tmp/12-0123456789ab": b'{"format":1,"kind":"round"',
    ".aeros-12-0123456789abcdef": b'{"format":2',
    "tmp/aeros-13-0123456789abcdef/c.0": b"1",
    "tmp/13-0123456789ab/c.0": b"1",
}
THEIRS = {
    "tmp/thesis.tex": b"",
    "tmp/12-0123456789ac": b"a thesis",
    "tmp/aeros-12-0123456789abcdee": b"a thesis",
    "tmp/aeros-12-0123456789abcde": b"",
    "tmp/14-0123456789ab/c.0/x": b"",
    "tmp/15-0123456789ab/photo.jpg": b"",
    "tmp/hidden-treasure/map": b"",
    "tmp/claims/mine.json": b"",
    "tmp/folder/x": b"",
    ".aeros-notes": b"",
}


def test_only_what_is_old_and_ours_is_swept(disk):
    new = "tmp/aeros-12-ffffffffffffffff"
    for key, data in (OURS | THEIRS | {new: b""}).items():
        (disk.root / key).parent.mkdir(parents=True, exist_ok=True)
        (disk.root / key).write_bytes(data)
    yesterday = time.time() - 25 * 3600
    for path in disk.root.rglob("*"):
        if path.name != new.rpartition("/")[2]:
            os.utime(path, (yesterday, yesterday))
    disk.sweep()
    files = {str(p.relative_to(disk.root)) for p in disk.root.rglob("*") if p.is_file()}
    assert files == {new, *THEIRS}


DESCRIPTORS = Path("/proc/self/fd")


@pytest.fixture
def calls(monkeypatch):
    """The system calls that make things durable or visible, in order."""
    done = []
    for name in ("fsync", "replace", "rename", "link"):
        call = getattr(os, name)

        def wrapped(first, *rest, _call=call, _name=name):
            target = DESCRIPTORS / str(first) if _name == "fsync" else Path(rest[0])
            done.append((_name, target.resolve().name))
            return _call(first, *rest)

        monkeypatch.setattr(os, name, wrapped)
    return done


@pytest.mark.skipif(not DESCRIPTORS.is_dir(), reason="needs /proc")
def test_bytes_are_on_the_disk_before_they_are_visible(tmp_path, calls):
    disk = Disk(tmp_path, durable=True)
    disk.replace("a", b"1")
    disk.replace("b/c", b"1")
    calls.clear()
    disk.replace("b/c", b"2")
    assert [name for name, _ in calls] == ["fsync", "replace", "fsync"]
    assert calls[-1] == ("fsync", "b")
    calls.clear()
    disk.create("b/d", b"2")
    assert [name for name, _ in calls] == ["fsync", "link", "fsync"]
    calls.clear()
    with disk.staging(1) as [stage]:
        disk.write(stage / "x", b"1")
        disk.adopt({"b/e": stage})
    assert [name for name, _ in calls] == ["fsync", "fsync", "rename", "fsync"]
    assert calls[0] == ("fsync", "x")
    assert calls[1] == ("fsync", stage.name)
    assert calls[3] == ("fsync", "b")


def test_nothing_waits_for_the_disk_when_it_need_not(disk, calls):
    disk.replace("a", b"1")
    disk.create("b", b"1")
    with disk.staging(1) as [stage]:
        disk.adopt({"c": stage})
    assert "fsync" not in [name for name, _ in calls]

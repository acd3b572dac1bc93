import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aeros_zarr.disk import Disk


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
    disk.replace("a/b", b"1")
    disk.replace("c", b"1")
    disk.remove("a", "c", "c")
    assert disk.names("") == ["tmp"]


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
            disk.write(stage / "x", content)
            disk.adopt({"a": stage})
    assert disk.read("a/x") == b"old"
    assert disk.names("tmp") == []


def test_nothing_is_left_of_an_interrupted_staging(disk):
    def interrupted():
        with disk.staging(1) as [stage]:
            disk.write(stage / "x", b"1")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert disk.names("tmp") == []


def test_only_what_is_old_is_swept(disk):
    disk.replace("tmp/old", b"")
    disk.replace("tmp/new", b"")
    disk.replace("tmp/folder/x", b"")
    yesterday = time.time() - 25 * 3600
    for name in ("old", "folder"):
        os.utime(disk.root / "tmp" / name, (yesterday, yesterday))
    disk.sweep()
    assert disk.names("tmp") == ["new"]


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

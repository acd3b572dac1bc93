import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from endpoints import repository

from aeros_core.errors import ConfigError
from aeros_zarr.stores.s3.cache import Cache

ONE, TWO = "a" * 64, "b" * 64


def held(path: Path):
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def read(cache, digest, name="c.0"):
    file = cache.open(digest, name)
    if file is None:
        return None
    with file:
        return file.read()


def test_what_is_added_is_there(tmp_path):
    cache = Cache(tmp_path / "cache", 1000)
    assert read(cache, ONE) is None
    cache.add(ONE, "c.0", b"chunk")
    cache.add(ONE, "zarr.json", memoryview(b"{}"))
    assert read(Cache(tmp_path / "cache", 1000), ONE) == b"chunk"
    assert read(cache, ONE, "zarr.json") == b"{}"
    assert read(cache, TWO) is None


def test_what_is_dropped_is_gone(tmp_path):
    cache = Cache(tmp_path, 1000)
    cache.add(ONE, "c.0", b"chunk")
    assert cache.drop(ONE, "c.0")
    assert not cache.drop(ONE, "c.0")
    assert read(cache, ONE) is None


def test_what_was_used_longest_ago_goes(tmp_path):
    cache = Cache(tmp_path, 1000)
    for n in range(9):
        cache.add(ONE, f"c.{n}", bytes(100))
        os.utime(tmp_path / "aa" / f"{ONE}.c.{n}", (n, n))
    assert read(cache, ONE, "c.0") is not None
    cache.add(TWO, "c.0", bytes(100))
    cache.add(TWO, "c.1", bytes(100))
    assert held(tmp_path) <= 1000
    assert read(cache, ONE, "c.0") is not None
    assert read(cache, ONE, "c.1") is None
    assert read(cache, TWO, "c.1") is not None


def test_what_is_larger_than_the_cache_is_not_kept(tmp_path):
    cache = Cache(tmp_path / "cache", 100)
    cache.add(ONE, "c.0", bytes(101))
    assert not (tmp_path / "cache").exists()


def test_what_is_exactly_as_large_as_the_cache_is_kept(tmp_path):
    cache = Cache(tmp_path, 100)
    cache.add(ONE, "c.0", bytes(100))
    assert read(cache, ONE) == bytes(100)


def filled(folder, *sizes):
    """Return a cache of 1,000 bytes after files of these sizes were added, the oldest first."""
    cache = Cache(folder, 1000)
    for n, size in enumerate(sizes):
        cache.add(ONE, f"c.{n}", bytes(size))
        os.utime(folder / "aa" / f"{ONE}.c.{n}", (n, n))
    return [n for n in range(len(sizes)) if read(cache, ONE, f"c.{n}") is not None]


def test_a_cache_that_is_exactly_full_loses_nothing(tmp_path):
    assert filled(tmp_path, *[100] * 10) == list(range(10))
    assert held(tmp_path) == 1000


def test_one_byte_over_its_size_a_cache_keeps_nine_tenths(tmp_path):
    assert filled(tmp_path, *[100] * 9, 101) == list(range(2, 10))
    assert held(tmp_path) == 801
    exactly = tmp_path / "exactly"
    assert filled(exactly, 101, *[100] * 9) == list(range(1, 10))
    assert held(exactly) == 900  # nine tenths are allowed: no more goes than has to


def test_what_a_killed_process_left_goes(tmp_path):
    cache = Cache(tmp_path, 1000)
    (tmp_path / "aa").mkdir()
    for name, age in (("0" * 12, 7200), ("1" * 12, 0)):
        part = tmp_path / "aa" / f"{ONE}.c.0.{name}.part"
        part.write_bytes(b"half")
        os.utime(part, (time.time() - age,) * 2)
    cache.add(ONE, "c.0", b"chunk")
    assert sorted(p.name for p in (tmp_path / "aa").iterdir()) == [
        f"{ONE}.c.0", f"{ONE}.c.0.{'1' * 12}.part",
    ]  # fmt: skip


THEIRS = ("aa/notes.txt", f"aa/{ONE}.txt", f"ab/{ONE}.c.0", "aa/x.part", f"aa/{ONE}.c.0.x.part",
          "photos/a.jpg", "aa/zarr.json")  # fmt: skip


def test_what_others_have_there_stays(tmp_path):
    for name in THEIRS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(500))
        os.utime(tmp_path / name, (time.time() - 1e6,) * 2)
    (tmp_path / "aa" / f"{ONE}.c.9").symlink_to(tmp_path / "photos/a.jpg")
    cache = Cache(tmp_path, 100)
    for n in range(9):
        cache.add(ONE, f"c.{n}", bytes(60))
    assert all((tmp_path / name).read_bytes() == bytes(500) for name in THEIRS)
    assert (tmp_path / "aa" / f"{ONE}.c.9").is_symlink()
    assert len([p for p in (tmp_path / "aa").iterdir() if re.fullmatch(r".*c\.[0-8]", p.name)]) == 1


def test_a_folder_that_cannot_be_is_told_once_and_nothing_fails(tmp_path, caplog):
    (tmp_path / "file").write_text("mine")
    cache = Cache(tmp_path / "file", 1000)
    for _ in range(3):
        cache.add(ONE, "c.0", b"chunk")
        assert read(cache, ONE) is None
    assert caplog.text.count("is not used") == 1


USER = """
import sys
from pathlib import Path
from aeros_zarr.stores.s3.cache import Cache
cache, seed = Cache(Path(sys.argv[1]), 2000), int(sys.argv[2])
sys.stdin.read()
for n in range(150):
    digest = f"{n * seed % 20:064x}"
    file = cache.open(digest, "c.0")
    if file is not None:
        with file:
            assert file.read() == digest.encode() * 2
    cache.add(digest, "c.0", digest.encode() * 2)
"""


def test_processes_share_it(tmp_path):
    users = [
        subprocess.Popen(
            [sys.executable, "-c", USER, str(tmp_path), str(seed)], stdin=subprocess.PIPE
        )
        for seed in (1, 3, 7)
    ]
    for user in users:
        user.stdin.close()
    assert [user.wait(120) for user in users] == [0] * 3
    assert held(tmp_path) <= 2000 + 3 * 100 + 128
    assert not list(tmp_path.rglob("*.part"))


# ---------------------------------------------------------------- before a bucket


def blob_requests(faulty):
    return [path for method, path in faulty.seen if method == "GET" and "/blobs/" in path
            and "list-type" not in path]  # fmt: skip


@pytest.fixture
def cached(faulty, tmp_path, examples):
    store = repository(faulty.url, tmp_path, cache=str(tmp_path / "cache"))
    store.publish(examples.model())
    faulty.seen.clear()
    return store


def test_what_was_read_is_not_downloaded_again(cached, faulty, tmp_path, examples):
    cached.model("model")
    assert len(blob_requests(faulty)) == 2
    faulty.seen.clear()
    for name in ("cache", "cache", "elsewhere"):
        again = repository(faulty.url, tmp_path, cache=str(tmp_path / name))
        assert again.model("model").parameters.digest == examples.model().parameters.digest
        assert len(blob_requests(faulty)) == (2 if name == "elsewhere" else 0)


@pytest.mark.parametrize("damage", [b"", b"x", None])
@pytest.mark.parametrize("name", ["c.0", "zarr.json"])
def test_a_damaged_entry_is_fetched_again(cached, faulty, tmp_path, examples, name, damage):
    cached.model("model")
    [entry] = (tmp_path / "cache").rglob(f"*.{name}")
    whole = bytearray(entry.read_bytes())
    flipped = whole.copy()
    flipped[len(whole) // 2] ^= 1
    entry.write_bytes(flipped if damage is None else damage)
    faulty.seen.clear()
    assert cached.model("model").parameters.digest == examples.model().parameters.digest
    assert len(blob_requests(faulty)) == 1
    assert cached.model("model").parameters.digest == examples.model().parameters.digest


def test_unverified_what_the_cache_has_is_believed_if_it_is_as_long(
    cached, faulty, tmp_path, examples
):
    options = {"cache": str(tmp_path / "cache"), "verify": False}
    store = repository(faulty.url, tmp_path, **options)
    store.model("model")
    [entry] = (tmp_path / "cache").rglob("*.c.0")
    entry.write_bytes(bytes(entry.stat().st_size))
    faulty.seen.clear()
    assert not store.model("model").parameters.vector.any()
    assert blob_requests(faulty) == []
    entry.write_bytes(b"short")
    assert store.model("model").parameters.digest == examples.model().parameters.digest
    assert len(blob_requests(faulty)) == 1


def test_verify_looks_at_the_bucket_and_not_at_the_cache(cached, examples):
    cached.model("model")
    [blob] = cached._store.names("blobs")
    cached._store.replace(f"blobs/{blob}/c.0", bytes(2800))
    wrong = [file for file, what in cached.verify().items() if what]
    assert wrong == [cached._store.location(f"blobs/{blob}/c.0")]


def test_a_cache_of_no_size_is_refused(s3, tmp_path):
    with pytest.raises(ConfigError) as caught:
        repository(s3, tmp_path, cache_gb=0.0)
    assert str(caught.value) == (
        "repository.cache_gb must be above 0, got 0.0\n  next: repository.cache= for no cache"
    )

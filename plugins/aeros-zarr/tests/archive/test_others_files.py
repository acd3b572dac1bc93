"""What others have beside a repository, or within it, is there afterwards as it was."""

import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import obstore
import pytest
from endpoints import repository
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from aeros_core.errors import AerosError, ConfigError
from aeros_core.results import Result, Status
from aeros_zarr.stores import layout

pytestmark = pytest.mark.usefixtures("alone")

DAY = 24 * 3600.0
DIGEST = "0123456789abcdef" * 4
NAMES = st.sampled_from([
    "blobs", "runs", "models", "algorithms", "tmp", "a", "model", "tags", "index", "rounds",
    "claims",
    DIGEST, DIGEST[1:], DIGEST.upper(), "zarr.json.bak", "c.x", "c.01", "photos", "a.jpg",
    "thesis.tex", ".DS_Store", "Thumbs.db", "0.json", "01.json", "notes.json", "hidden-treasure",
    f"hidden-blobs:{DIGEST[1:]}", f"hidden-runs:a:blobs:{DIGEST}", "12-0123456789ab",
    "aeros-12-0123456789abcdef", "aeros-probe-0123456789abcdef", "probe-0123456789abcdef",
    "aeros-", "lock", "lock.txt", "é", "a b", "con",
])  # fmt: skip
PATHS = st.lists(NAMES, min_size=1, max_size=4).map("/".join)
TREES = st.dictionaries(PATHS, st.sampled_from([b"", b"mine", b"{}", b"[1]"]), max_size=8)
FIXED = {
    "tmp/thesis.tex": b"1", "blobs/photos/a.jpg": b"2", f"blobs/{DIGEST}/a.jpg": b"3",
    f"blobs/{DIGEST[:-1]}0": b"4", "tmp/12-0123456789ab": b"5", "tmp/hidden-treasure/x": b"6",
    f"tmp/hidden-blobs:{DIGEST}/a.jpg": b"7", "models/.DS_Store": b"8", "runs/Thumbs.db": b"9",
    "runs/photos/a.jpg": b"10", "models/model/index/notes.json": b"11", "models/notes/1.txt": b"12",
    "runs/a/rounds/notes.txt": b"13", "algorithms/readme.txt": b"14", "thesis.tex": b"15",
    "tmp/claims/mine.json": b"16", "runs/a/blobs/photos/b.jpg": b"17",
    f"runs/a/blobs/{DIGEST}/b.jpg": b"18",
}  # fmt: skip


LINKS = (f"blobs/{'e' * 64}", "tmp/aeros-12-00000000000000ff", "tmp/link")


def is_possible(path, data):
    """Leave out what cannot be told from what aeros writes, by its name and its bytes."""
    parts = path.split("/")
    stem = parts[-1].removesuffix(".json")
    record = parts[-1].endswith(".json") and stem.isdecimal() and stem == str(int(stem))
    scratch = any(layout.is_scratch("/".join(parts[: n + 1])) for n in range(len(parts)))
    empty = not data and (scratch or layout.is_empty_scratch(path))
    return not (record or empty or path == "format.json" or layout.is_blob_file(parts[-1]))


def use(store, examples):
    """Do everything that a repository does."""
    store.begin(examples.run())
    store.acquire("a")
    for number in (1, 2, 3, 2):
        store.commit("a", examples.checkpoint(number, seed=number))
    store.finish("a", Result("task", Status.FINISHED, 2, {}, {}, 0.0, 0, 0, {}))
    store.release("a")
    for seed in (1, 2, 3):
        store.publish(examples.model(seed=seed))
    store.tag("model", "best", 1)
    store.remove("model", [2])
    store._store.remove("models/model/index/0.json")
    store.heal(None, None, [])
    store.collect(-60.0)
    store.runs()
    store.models()
    store.model("model", "best")
    store.verify()
    store.latest("a")


def swept(store):
    """Sweep and collect as if all were old."""
    now = store._store.now
    store._store.now = lambda: now() + 40 * DAY
    store.collect(DAY)


def write(root, tree):
    """Write what can be written of a tree: a name may be that of a file and of a folder."""
    written = {}
    for path, data in tree.items():
        place = root / path
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                place.write_bytes(data)
                written[path] = data
        except OSError:
            continue
    for path in written:
        os.utime(root / path, (time.time() - 30 * DAY,) * 2)
    return written


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=TREES, links=st.booleans())
@example(tree=FIXED, links=True)
def test_in_a_folder_every_file_of_others_stays(examples, tree, links):
    tree = {path: data for path, data in tree.items() if is_possible(path, data)}
    with tempfile.TemporaryDirectory() as folder:
        root, elsewhere = Path(folder) / "store", Path(folder) / "elsewhere"
        examples.store(root)._marker.set()
        written = write(root, tree)
        elsewhere.mkdir()
        (elsewhere / "c.0").write_bytes(b"mine")
        if links:
            links = [root / place for place in LINKS if (root / place).parent.is_dir()]
            for place in links:
                place.symlink_to(elsewhere)
        times = {path: (root / path).stat().st_mtime_ns for path in written}
        store = examples.store(root)
        with suppress(AerosError):  # a file lies where a folder has to be: it is refused
            use(store, examples)
        with suppress(AerosError):
            swept(examples.store(root))
        assert {path: (root / path).read_bytes() for path in written} == written
        assert {path: (root / path).stat().st_mtime_ns for path in written} == times
        assert (elsewhere / "c.0").read_bytes() == b"mine"
        assert not links or all(place.is_symlink() for place in links)


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(tree=TREES)
@example(tree=FIXED)
def test_in_a_bucket_every_object_of_others_stays(s3, examples, tree):
    tree = {path: data for path, data in tree.items() if is_possible(path, data)}
    with tempfile.TemporaryDirectory() as folder:
        store = repository(s3, Path(folder))
        store._marker.set()
        for path, data in tree.items():
            obstore.put(store._store._s3, path, data)
        before = {path: store._store._objects.below("").get(path) for path in tree}
        with suppress(AerosError):
            use(store, examples)
        with suppress(AerosError):
            swept(repository(s3, Path(folder)))
        after = store._store._objects.below("")
        assert {path: after.get(path) for path in tree} == before
        assert {path: store._store.read(path) for path in tree} == tree


# ---------------------------------------------------------------- a place of others


@pytest.mark.parametrize("name", [*sorted(layout.ROOTS)])
@pytest.mark.parametrize("filled", [True, False])
def test_a_folder_with_names_of_a_repository_is_refused_before_the_first_write(
    tmp_path, examples, name, filled
):
    (tmp_path / name).mkdir()
    if filled:
        (tmp_path / name / "thesis.tex").write_text("mine")
    store = examples.store(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    writes = [
        lambda: store.begin(examples.run()),
        lambda: store.publish(examples.model()),
        lambda: store.acquire("a"),
        lambda: store.tag("model", "best", 1),
        lambda: store.remove("model", [1]),
        lambda: store.collect(0.0),
        lambda: store.heal(None, None, []),
    ]
    for write in writes:
        with pytest.raises(ConfigError, match=f"it has {name} but no format.json") as caught:
            write()
        assert caught.value.exit_code == 2
        assert caught.value.hint == f"repository.path={tmp_path}/aeros-repository"
    assert sorted(tmp_path.rglob("*")) == before
    assert list(store.models()) == []
    examples.filled(tmp_path / "aeros-repository")


def test_the_hint_names_a_folder_that_is_free(tmp_path, examples):
    for path in ("blobs/a.jpg", "aeros-repository/thesis.tex"):
        (tmp_path / path).parent.mkdir()
        (tmp_path / path).write_text("mine")
    with pytest.raises(ConfigError) as caught:
        examples.store(tmp_path).begin(examples.run())
    assert caught.value.hint == f"repository.path={tmp_path}/aeros-repository-2"


def test_a_format_of_others_is_not_written_over(tmp_path, examples):
    (tmp_path / "format.json").write_text('{"paper": "a4"}')
    with pytest.raises(ConfigError, match=r"its format.json is not that of a repository"):
        examples.store(tmp_path).begin(examples.run())
    assert (tmp_path / "format.json").read_text() == '{"paper": "a4"}'
    assert sorted(tmp_path.iterdir()) == [tmp_path / "format.json"]


def test_a_bucket_with_names_of_a_repository_is_refused(s3, tmp_path, examples):
    store = repository(s3, tmp_path)
    store._store.replace("tmp/thesis.tex", b"mine")
    prefix = store._store._s3.prefix
    with pytest.raises(ConfigError, match=r"it has tmp but no format.json") as caught:
        store.begin(examples.run())
    assert caught.value.hint == f"repository.prefix={prefix}/aeros-repository"
    with pytest.raises(ConfigError):
        store.collect(0.0)
    assert list(store._store._objects.below("")) == ["tmp/thesis.tex"]
    repository(s3, tmp_path, prefix=f"{prefix}/aeros-repository").begin(examples.run())


def test_a_folder_with_other_names_becomes_a_repository(tmp_path, examples):
    (tmp_path / "thesis.tex").write_text("mine")
    examples.filled(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "mine"


def test_a_repository_that_lost_its_format_is_healed(tmp_path, examples):
    examples.filled(tmp_path)
    whole = (tmp_path / "format.json").read_bytes()
    (tmp_path / "format.json").unlink()
    store = examples.store(tmp_path)
    with pytest.raises(ConfigError) as caught:
        store.commit("a", examples.checkpoint(4))
    assert "aeros models verify --heal rewrites it" in caught.value.exists
    assert [f for f, what in store.verify().items() if what] == [str(tmp_path / "format.json")]
    store.heal(None, None, [])
    assert (tmp_path / "format.json").read_bytes() == whole
    examples.store(tmp_path).commit("a", examples.checkpoint(4))


# ---------------------------------------------------------------- odd keys


ODD = [
    "models//x.json",
    "models/../y",
    "runs/./z",
    "runs/a\x7fb/run.json",
    "blobs//a",
    "//",
    "tmp//x",
]


def test_odd_keys_in_a_bucket_are_skipped_and_warned_of(s3, tmp_path, examples, caplog):
    import boto3

    store = repository(s3, tmp_path)
    use(store, examples)
    seen = [(info.name, info.version) for info in store.models()]
    client = boto3.client("s3", endpoint_url=s3, region_name="us-east-1")
    prefix = store._store._s3.prefix
    for key in ODD:
        client.put_object(Bucket="aeros-test", Key=f"{prefix}/{key}", Body=b"mine")
    again = repository(s3, tmp_path)
    assert [(info.name, info.version) for info in again.models()] == seen
    assert [run.id for run in again.runs()] == ["a"]
    assert set(again.verify().values()) == {""}
    again.publish(examples.model(seed=9))
    again.begin(examples.run("b"))
    again.collect(0.0)
    assert "models//' is skipped: aeros writes no such key" in caplog.text
    assert caplog.text.count("models//' is skipped") <= 2  # by each repository once
    there = client.list_objects_v2(Bucket="aeros-test", Prefix=prefix)["Contents"]
    found = {each["Key"] for each in there}
    assert {f"{prefix}/{key}" for key in ODD} <= found

"""A flipped bit in any stored file, whatever it is, is found, named, and healed from a copy."""

import json
import shutil

import pytest
from endpoints import repository
from readings import answers, fill, parameters, told

from aeros_core.errors import RepositoryError
from aeros_zarr import Compression
from aeros_zarr.archive.models import version_index

pytestmark = pytest.mark.usefixtures("alone")

PARTLY = {"runs", "run", "models", "page", "algorithms", "latest"}
"""Answers that leave out what is damaged, and log it."""


@pytest.fixture(autouse=True)
def _indexed(monkeypatch):
    """Few versions are indexed too."""
    monkeypatch.setattr(version_index, "_MANY", 2)


def flipped(data, place):
    found = bytearray(data)
    found[place] ^= 1 << place % 7
    return bytes(found)


def places(data):
    return {0, len(data) // 2, len(data) - 1}


def told_of(key, answer, lines):
    """Tell whether an error names a file, or else what was logged does."""
    said = [answer.asked] if isinstance(answer, RepositoryError) else lines
    return any(f"{key} " in f"{line} " or f"{key}:" in line for line in said)


def check(key, expected, found, lines):
    """Make sure that every answer is right, or tells what is damaged."""
    for name, answer in found.items():
        if answer == expected[name]:
            continue
        assert told_of(key, answer, lines), (key, name, answer, lines)
        if not isinstance(answer, RepositoryError):
            assert name in PARTLY, (key, name)
            assert_part(name, answer, expected[name])


def assert_part(name, answer, expected):
    """Make sure that what was answered is right as far as it goes."""
    answer, whole = json.loads(answer), json.loads(expected)
    if name == "latest":
        assert answer[0]["round"] == 1
        assert answer[1] == parameters(1).digest
        return
    if name == "page":
        answer, whole = answer[0], whole[0]
    bare = [row[:4] if isinstance(row, list) else row for row in whole]  # a tag may be left out
    assert [row[:4] if isinstance(row, list) else row for row in answer] == [
        row for row in bare if row in [r[:4] if isinstance(r, list) else r for r in answer]
    ]


KINDS = {
    "format.json", "run.json", "rounds", "result.json", "zarr.json", "chunk", "model", "tag",
    "index", "algorithm",
}  # fmt: skip


def kind(key):
    parts = key.split("/")
    if "blobs" in parts:
        return "zarr.json" if parts[-1] == "zarr.json" else "chunk"
    if parts[0] in ("models", "algorithms"):
        return {"tags": "tag", "index": "index"}.get(parts[2], parts[0][:-1])
    return "rounds" if "rounds" in parts else parts[-1]


# ---------------------------------------------------------------- in a folder


@pytest.fixture(params=Compression)
def folder(request, examples, tmp_path):
    """A repository in a folder, and the files in it."""
    options = {"compression": request.param}
    path = tmp_path / "store"
    fill(examples.store(path, **options), examples)
    files = sorted(file for file in path.rglob("*") if file.is_file())
    assert {kind(str(file.relative_to(path))) for file in files} == KINDS
    return path, files, options


def flips(files):
    """Damage one place after the other; yield the file and what it held, which it holds again."""
    for file in files:
        whole = file.read_bytes()
        for place in places(whole):
            file.write_bytes(flipped(whole, place))
            yield file, whole
            file.write_bytes(whole)


def test_in_a_folder_no_flipped_bit_gives_wrong_data(folder, examples):
    path, files, options = folder
    expected = answers(examples.store(path, **options))
    for file, _ in flips(files):
        with told() as lines:
            found = answers(examples.store(path, **options))
        check(str(file), expected, found, lines)


@pytest.mark.parametrize("folder", [Compression.none], indirect=True)
def test_in_a_folder_every_flipped_bit_is_found_and_healed_from_a_copy(folder, examples, tmp_path):
    path, files, options = folder
    shutil.copytree(path, tmp_path / "copy")
    expected = answers(examples.store(path, **options))
    for file, whole in flips(files):
        store = examples.store(path, **options)
        assert [name for name, what in store.verify().items() if what] == [str(file)]
        copy = examples.store(tmp_path / "copy", **options)
        assert list(store.heal(None, None, [copy])) == [str(file)]
        assert answers(examples.store(path, **options)) == expected
        assert file.read_bytes() == whole


def test_in_a_folder_all_flipped_at_once_are_healed(folder, examples, tmp_path):
    path, files, options = folder
    shutil.copytree(path, tmp_path / "copy")
    expected = answers(examples.store(path, **options))
    for file in files:
        whole = file.read_bytes()
        file.write_bytes(flipped(whole, len(whole) // 2))
    store = examples.store(path, **options)
    healed = store.heal(None, None, [examples.store(tmp_path / "copy", **options)])
    assert set(healed) == {str(file) for file in files}
    assert answers(examples.store(path, **options)) == expected


# ---------------------------------------------------------------- in a bucket


@pytest.fixture(scope="module")
def bucket(s3, tmp_path_factory, examples):
    """A function that opens a repository in a bucket, and another one that is a copy of it."""
    path, copy = tmp_path_factory.mktemp("bucket"), tmp_path_factory.mktemp("copy")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(version_index, "_MANY", 2)
        for where in (path, copy):
            fill(repository(s3, where), examples)
    return (lambda **options: repository(s3, path, **options)), repository(s3, copy)


def test_in_a_bucket_no_flipped_bit_gives_wrong_data(bucket):
    opened, _ = bucket
    expected, store = answers(opened()), opened()._store
    keys = sorted(store._objects.below(""))
    assert {kind(key) for key in keys} == KINDS
    for n, key in enumerate(keys):
        whole = store.read(key)
        store.replace(key, flipped(whole, sorted(places(whole))[n % 3]))
        with told() as lines:
            found = answers(opened())
        check(key, expected, found, lines)
        store.replace(key, whole)


def test_in_a_bucket_all_flipped_at_once_are_healed(bucket):
    opened, copy = bucket
    expected, store = answers(opened()), opened()._store
    keys = sorted(store._objects.below(""))
    for key in keys:
        whole = store.read(key)
        store.replace(key, flipped(whole, len(whole) // 2))
    wrong = {file for file, what in opened().verify().items() if what}
    assert wrong < {store.location(key) for key in keys}
    healed = opened().heal(None, None, [copy])
    assert set(healed) == {store.location(key) for key in keys}
    assert answers(opened()) == expected


def test_in_a_cache_every_flipped_bit_is_healed_from_the_bucket(bucket, tmp_path):
    opened, _ = bucket
    cache = tmp_path / "cache"
    expected = answers(opened(cache=str(cache)))
    files = sorted(file for file in cache.rglob("*") if file.is_file())
    assert len(files) > 8
    for n, file in enumerate(files):
        whole = file.read_bytes()
        file.write_bytes(flipped(whole, sorted(places(whole))[n % 3]))
    before = {file: file.read_bytes() for file in files}
    for _ in range(2):  # a damaged one is dropped, and is there again with the next reading
        assert answers(opened(cache=str(cache))) == expected
    assert not any(file.read_bytes() == before[file] for file in files)


def test_in_the_spool_a_flipped_bit_is_named(s3, tmp_path, examples):
    store = repository(s3, tmp_path)
    store.begin(examples.run())
    for number in (1, 2):
        store._spool.store("a", examples.checkpoint(number), None)
    files = sorted(f for f in (tmp_path / "spool").rglob("*") if f.is_file())
    assert len(files) == 7
    for file in files:
        whole = file.read_bytes()
        for place in places(whole):
            file.write_bytes(flipped(whole, place))
            if file.name not in ("run.json", "format.json"):
                with pytest.raises(RepositoryError) as caught:
                    repository(s3, tmp_path).acquire("a")
                assert str(file) in str(caught.value)
                assert f"remove {store._spool.folder}" in caught.value.hint
            file.write_bytes(whole)
    again = repository(s3, tmp_path)
    again.acquire("a")
    assert again.latest("a").round.number == 2
    again.release("a")
    assert not store._spool.holds("a")

"""Records that are well signed but say nonsense, and files that are damaged in any way."""

import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readings import answers, fill, questions

from aeros_core.errors import AerosError, RepositoryError
from aeros_core.testing.examples.fuzzing import changed, damaged, deep
from aeros_zarr.archive.models import version_index
from aeros_zarr.format import manifest
from aeros_zarr.format.record_schemas import RECORDS, names
from aeros_zarr.stores.layout import belonging

pytestmark = pytest.mark.usefixtures("alone")

MODEL = {
    "digest": "a" * 64, "parameters": {"float32": "b" * 64}, "nbytes": 8, "schema": {},
    "module": {}, "transformers": {}, "fitted": {"step": {"mean": 1.5, "n": 2, "of": "x"}},
    "run": "a", "round": 3, "metrics": {"loss": 0.5}, "versions": {}, "parents": [],
    "created": "2026-01-01",
}  # fmt: skip
ROW = [1, "a" * 64, "run", 3, {}, "2026-01-01", 8, []]


def loaded(kind, content):
    return manifest.load(kind, manifest.dump(kind, content), "/store/1.json")


def refused(kind, content):
    """Return what is wrong with a record, without its file and its kind."""
    with pytest.raises(RepositoryError) as caught:
        loaded(kind, content)
    start = f"/store/1.json is damaged: as the record of a {kind}, "
    assert caught.value.asked.startswith(start)
    return caught.value.asked.removeprefix(start)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"round": "3"}, "its field 'round' must be int, got str"),
        ({"round": True}, "its field 'round' must be int, got bool"),
        ({"round": 1.0}, "its field 'round' must be int, got float"),
        ({"round": None}, "its field 'round' must be int, got null"),
        ({"run": 1}, "its field 'run' must be str, got int"),
        ({"metrics": []}, "its field 'metrics' must be object, got array"),
        ({"parents": "a"}, "its field 'parents' must be array, got str"),
        ({"parents": [1]}, "its field 'parents[0]' must be str, got int"),
        ({"bases": None}, "its field 'bases' must be array, got null"),
        ({"inputs": []}, "its field 'inputs' must be object | null, got array"),
        ({"parameters": {"float32": 1}}, "its field 'parameters[...]' must be str, got int"),
        ({"samples": {"x": {}}}, "its field 'samples[...].$blob' is missing"),
        ({"fitted": {"a": {"b": {"$blob": 1}}}}, "its field 'fitted[...][...].$blob' must be str"),
        ({"fitted": {"a": {"b": None}}}, "its field 'fitted[...][...]' must be bool | int | float"),
    ],
    ids=str,
)
def test_a_field_of_another_type_is_named(change, said):
    assert refused("model", {**MODEL, **change}).startswith(said)


@pytest.mark.parametrize("name", MODEL)
def test_a_field_that_is_missing_is_named(name):
    others = {key: value for key, value in MODEL.items() if key != name}
    assert refused("model", others) == f"its field '{name}' is missing"


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"bases": ["c"], "inputs": None, "samples": {"x": {"$blob": "d" * 64}}},
        {"inputs": {"fields": []}, "name": "model", "version": 1, "later": [None]},
        {"metrics": {"loss": 10**30, "text": "\ud800", "deep": {"a": [None]}}},
    ],
    ids=str,
)
def test_what_fits_a_schema_is_read_as_it_was_written(more):
    assert loaded("model", MODEL | more) == MODEL | more


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (ROW[:-1], "its field 'rows[1]' must be array of at least length 8, got 7"),
        ([*ROW, 1], "its field 'rows[1]' must be array of at most length 8, got 9"),
        (["1", *ROW[1:]], "its field 'rows[1][0]' must be int, got str"),
        ({}, "its field 'rows[1]' must be array, got object"),
    ],
    ids=str,
)
def test_a_row_of_the_index_has_its_columns_and_no_more(row, said):
    assert refused("index", {"rows": [ROW, row]}) == said
    assert loaded("index", {"rows": [ROW]}) == {"rows": [ROW]}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.0, 5e-324, 1e308, 3])
def test_seconds_are_any_number_to_the_bit(value):
    content = {
        "task": "t", "status": "FINISHED", "rounds": 1, "metrics": {"x": value}, "model": {},
        "seconds": value, "bytes": {"sent": 1, "received": 2}, "versions": {}, "dropped": {},
    }  # fmt: skip
    assert repr(loaded("result", content)) == repr(content)
    said = refused("result", {**content, "bytes": {"sent": 1}})
    assert said == "its field 'bytes.received' is missing"
    assert refused("result", {**content, "seconds": True}).startswith("its field 'seconds' must be")


def test_every_kind_of_record_has_a_schema(examples, tmp_path, monkeypatch):
    monkeypatch.setattr(version_index, "_MANY", 2)
    fill(examples.store(tmp_path), examples)
    files = [file for file in tmp_path.rglob("*.json") if file.name != "zarr.json"]
    assert {json.loads(file.read_bytes())["kind"] for file in files} == set(RECORDS)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_what_is_not_refused_has_every_field(data):
    content = data.draw(changed(MODEL))
    body = json.dumps(content).encode("utf-8", "surrogatepass")
    try:
        found = manifest.load("model", manifest._wrap("model", body), "file")
    except RepositoryError:
        return
    types = {name: type(value) for name, value in MODEL.items()}
    assert {name: type(found[name]) for name in MODEL} == types


@pytest.fixture(autouse=True)
def _untold(monkeypatch):
    """Thousands of warnings say what is damaged."""
    monkeypatch.setattr(logging.getLogger("aeros_zarr"), "disabled", True)
    for name in (
        "archive.runs.stored_runs",
        "archive.models.stored_models",
        "archive.algorithms",
        "archive.models.version_index",
        "blobs.verified_files",
        "format.marker",
    ):
        monkeypatch.setattr(logging.getLogger(f"aeros_zarr.{name}"), "disabled", True)


@pytest.fixture(scope="module")
def filled(examples, tmp_path_factory):
    """A store with records of every kind, which a test puts back as they were."""
    path = tmp_path_factory.mktemp("forms")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(version_index, "_MANY", 2)
        fill(examples.store(path), examples)
    return path, sorted(file for file in path.rglob("*") if file.is_file())


def records(files):
    """Yield every record of a store with its kind and content, but the index and the marker."""
    for file in files:
        if file.suffix == ".json" and file.name not in ("zarr.json", "format.json"):
            document = json.loads(file.read_bytes())
            if document["kind"] != "index":
                yield file, document["kind"], document["content"]


def test_a_record_says_the_fields_of_its_schema_in_its_order(filled):
    path, files = filled
    for file, kind, content in records(files):
        fields, place = names(RECORDS[kind]), belonging(file.relative_to(path).as_posix())
        assert [name for name in content if name in fields] == [n for n in fields if n in content]
        assert set(content) <= {*fields, *place}


def test_what_a_later_version_adds_to_a_record_is_passed_over(filled, examples):
    path, files = filled
    before, whole = answers(examples.store(path)), {}
    for file, kind, content in records(files):
        if kind == "result":  # which is handed out as it is
            continue
        whole[file] = file.read_bytes()
        file.write_bytes(manifest.dump(kind, {**content, "later": [1]}))
    try:
        found = answers(examples.store(path))
    finally:
        for file, data in whole.items():
            file.write_bytes(data)
    assert found == before
    assert len(whole) >= 7


def asked_with(examples, path, file, data):
    """Ask everything of a store one file of which holds these data, then put it back."""
    whole = file.read_bytes()
    file.write_bytes(data)
    try:
        store = examples.store(path)
        answers(store)
        store.verify()
    except AerosError:
        pass
    finally:
        file.write_bytes(whole)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_records_that_say_nonsense_are_used_or_refused(filled, examples, data):
    path, files = filled
    records = [file for file in files if file.suffix == ".json" and file.name != "zarr.json"]
    file = data.draw(st.sampled_from(records))
    document = json.loads(file.read_bytes())
    content = data.draw(changed(document["content"]))
    body = json.dumps(content).encode("utf-8", "surrogatepass")
    asked_with(examples, path, file, manifest._wrap(document["kind"], body))


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(filled, examples, data):
    path, files = filled
    file, other = data.draw(st.sampled_from(files)), data.draw(st.sampled_from(files))
    asked_with(examples, path, file, data.draw(damaged(file.read_bytes(), other.read_bytes())))


def test_nothing_was_left_changed(filled, examples):
    """By the two tests above: what they have tried was one change at a time."""
    path, _ = filled
    assert set(examples.store(path).verify().values()) == {""}
    assert not [a for a in answers(examples.store(path)).values() if isinstance(a, AerosError)]
    assert len(questions(examples.store(path))) == 13


@pytest.mark.parametrize("name", ["models/model/1.json", "runs/a/rounds/2.json", "runs/a/run.json"])
def test_deep_nesting_is_refused(filled, examples, name):
    path, _ = filled
    file = path / name
    kind = json.loads(file.read_bytes())["kind"]
    for body in (b"[" * 200_000, b'{"a":' * 200_000, json.dumps({"config": deep(150)}).encode()):
        asked_with(examples, path, file, manifest._wrap(kind, body))

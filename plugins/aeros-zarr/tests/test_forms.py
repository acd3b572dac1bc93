"""Records that are well signed but say nonsense, and files that are damaged in any way."""

import json
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from readings import answers, questions
from test_flips import fill

from aeros_core.errors import AerosError
from aeros_core.testing.mutations import changed, damaged, deep
from aeros_zarr import listing, manifest
from aeros_zarr.forms import RECORDS, each, many, one_of, record, row


@pytest.mark.parametrize(
    ("form", "fitting", "others"),
    [
        (one_of(int), [1], [True, 1.0, "1", None]),
        (one_of(int, float, None), [1, 0.5, None], ["1", {}]),
        (one_of(str, many(int)), ["", [], [1]], [1, ["1"]]),
        (many(int), [[], [1, 2]], [{}, [1, "2"], (1,), None]),
        (row(int, str), [[1, ""]], [[], [1], [1, 2], [True, ""], [1, "", 2], {}]),
        (each(str), [{}, {"a": "x"}], [{"a": 1}, [], None]),
        (record({"a": int}), [{"a": 1}, {"a": 1, "b": 2}], [{}, {"a": None}, {"a": True}, 1, []]),
        (record({"a": many(int)}), [{"a": []}], [{}, {"a": 1}]),
        (record({}, {"a": int}), [{}, {"a": 1}], [{"a": ""}, {"a": None}, []]),
    ],
)  # fmt: skip
def test_what_fits_a_form(form, fitting, others):
    assert all(map(form, fitting))
    assert not any(map(form, others))


def test_every_kind_of_record_has_a_form(examples, tmp_path, monkeypatch):
    monkeypatch.setattr(listing, "_MANY", 2)
    fill(examples.store(tmp_path), examples)
    files = [file for file in tmp_path.rglob("*.json") if file.name != "zarr.json"]
    assert {json.loads(file.read_bytes())["kind"] for file in files} == set(RECORDS)


@pytest.fixture(autouse=True)
def _untold(monkeypatch):
    """Thousands of warnings say what is damaged."""
    monkeypatch.setattr(logging.getLogger("aeros_zarr"), "disabled", True)
    for name in ("runs", "models", "algorithms", "listing", "files", "marker"):
        monkeypatch.setattr(logging.getLogger(f"aeros_zarr.{name}"), "disabled", True)


@pytest.fixture(scope="module")
def filled(examples, tmp_path_factory):
    """A store with records of every kind, which a test puts back as they were."""
    path = tmp_path_factory.mktemp("forms")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(listing, "_MANY", 2)
        fill(examples.store(path), examples)
    return path, sorted(file for file in path.rglob("*") if file.is_file())


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

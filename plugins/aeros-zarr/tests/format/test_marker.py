"""The marker of a store: a newer one is refused, a damaged one is told and written again."""

import json

import pytest

from aeros_core.errors import RepositoryError
from aeros_zarr.format import manifest


@pytest.fixture
def marker(examples, tmp_path):
    examples.filled(tmp_path)
    return tmp_path / "format.json"


@pytest.mark.parametrize(
    "damage",
    [b"", b"{}", b"[" * 9999, None],
    ids=["empty", "another", "deep", "of format 6"],
)
def test_a_damaged_one_is_told_and_written_again(examples, tmp_path, marker, caplog, damage):
    whole = marker.read_bytes()
    flipped = whole.replace(b'{"format":2,', b'{"format":6,', 1)
    marker.write_bytes(flipped if damage is None else damage)
    store = examples.store(tmp_path)
    assert f"{marker} is damaged: " in caplog.text
    assert store.latest("a").round.number == 3
    assert [file for file, what in store.verify().items() if what] == [str(marker)]
    store.begin(examples.run("b"))
    assert marker.read_bytes() == whole
    assert set(examples.store(tmp_path).verify().values()) == {""}


def test_it_is_healed_without_a_copy(examples, tmp_path, marker):
    whole = marker.read_bytes()
    marker.write_bytes(b"")
    store = examples.store(tmp_path)
    assert store.heal(None, None, []) == {str(marker): "the marker of this version"}
    assert marker.read_bytes() == whole


@pytest.mark.parametrize("content", [{}, {"format": 9}, {"format": 9, "more": [1]}])
def test_a_newer_one_is_refused(examples, tmp_path, marker, content):
    data = manifest.dump("repository", content)
    marker.write_bytes(data.replace(b'{"format":2,', b'{"format":9,', 1))
    with pytest.raises(RepositoryError, match="was written in format 9 by a newer aeros-zarr"):
        examples.store(tmp_path)


def test_that_of_an_earlier_writer_is_read_and_stays(examples, tmp_path, marker):
    marker.write_bytes(manifest.dump("repository", {}))
    examples.store(tmp_path).begin(examples.run("b"))
    assert json.loads(marker.read_bytes())["content"] == {}

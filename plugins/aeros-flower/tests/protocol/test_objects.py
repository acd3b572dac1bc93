"""What comes out of objects is what Flower itself makes of them."""

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents
from flwr.supercore.task_identity import TaskIdentity
from hypothesis import given, settings
from hypothesis import strategies as st

from aeros_flower.protocol import objects

CHUNK = 64


@pytest.fixture(autouse=True, scope="module")
def small_chunks():
    patch = pytest.MonkeyPatch()
    patch.setattr("flwr.app.message.array.FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE", CHUNK)
    for name in ("run_id", "task_id", "node_id"):
        patch.setattr(TaskIdentity, f"_{name}", 1)
    yield
    patch.undo()


def contents_of(record):
    """Return a message's id and the contents of all its objects, as they travel."""
    message = Message(RecordDict(record), 1, "train", ttl=10)
    with objects.apart(message) as (_, parts, tree):
        return tree.object_id, {name: part.deflate() for name, part in parts.items()}


VECTORS = st.builds(
    lambda values, times: np.array(values * times, "uint8"),
    st.lists(st.integers(0, 3), max_size=CHUNK), st.integers(0, 4),
)  # fmt: skip


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from("abcd"), VECTORS, max_size=4))
def test_arrays_are_what_flower_makes_of_them(arrays):
    """Of any number of chunks, also of equal ones within an array and between two."""
    record = ArrayRecord(
        {n: Array("uint8", v.shape, "raw", v.tobytes()) for n, v in arrays.items()}
    )
    told = {"arrays": record, "config": ConfigRecord({"round": 3})}
    name, contents = contents_of(told)
    theirs = inflate_object_from_contents(name, dict(contents)).content
    ours = objects.whole(name, contents).content
    assert contents == {}
    assert dict(ours["config"]) == {"round": 3}
    assert list(ours["arrays"]) == list(theirs["arrays"]) == list(arrays)
    for key, value in arrays.items():
        assert ours["arrays"][key] == theirs["arrays"][key]
        assert ours["arrays"][key].data == value.tobytes()


def broken():
    name, contents = contents_of({"a": ArrayRecord({"w": Array("uint8", (3,), "raw", b"abc")})})
    array = next(k for k, v in contents.items() if v.startswith(b"Array "))
    chunk = next(k for k, v in contents.items() if v.startswith(b"ArrayChunk "))
    yield name, {k: v for k, v in contents.items() if k != chunk}
    yield name, contents | {array: contents[array].replace(b"[0]", b"[7]")}
    yield name, contents | {array: contents[array].replace(b"arraychunk_ids", b"arraychunk_idx")}
    yield name, contents | {array: contents[array].replace(b"[3]", b"3")}
    yield name, contents | {chunk: b"nothing of the kind"}
    yield name, contents | {name: b"Unknown  0\0"}
    yield "another", contents


@pytest.mark.parametrize("number", range(7))
def test_what_is_no_object_is_an_error_and_nothing_else(number):
    name, contents = list(broken())[number]
    with pytest.raises(ValueError, match=r"."):
        objects.whole(name, contents)


def test_a_record_is_made_into_bytes_once_and_says_the_same_afterwards():
    made, record = [], ConfigRecord({"data": b"\x00" * 1000})

    class Counted(ConfigRecord):
        def deflate(self):
            made.append(1)
            return super().deflate()

    Counted.__qualname__ = ConfigRecord.__qualname__
    name, contents = contents_of({"config": Counted(dict(record))})
    assert len(made) == 1
    assert contents[record.object_id] == record.deflate()
    assert objects.whole(name, contents).content["config"] == record


def test_a_record_that_changes_is_sent_as_it_is_then():
    record = ConfigRecord({"round": 1})
    contents_of({"config": record})
    record["round"] = 2
    name, contents = contents_of({"config": record})
    assert objects.whole(name, contents).content["config"]["round"] == 2

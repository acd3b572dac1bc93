import json
import math
import struct
from collections import UserDict
from collections.abc import Mapping
from enum import Enum

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.errors import RepositoryError
from aeros_zarr.format.manifest import dump, load

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
contents = st.dictionaries(st.text(), plain, max_size=3)


def bits(value):
    """The same text for the same value to the last bit, NaN included."""
    if isinstance(value, float):
        return struct.pack(">d", value).hex()
    if isinstance(value, Mapping):
        return {key: bits(part) for key, part in value.items()}
    if isinstance(value, list):
        return [bits(part) for part in value]
    return repr(value)


@given(contents)
def test_plain_data_comes_back_bit_for_bit(content):
    assert bits(load("example", dump("example", content), "file")) == bits(content)


@given(contents)
def test_any_json_parser_reads_a_manifest(content):
    def refuse(token):
        raise AssertionError(f"{token} is no JSON")

    json.loads(dump("example", content), parse_constant=refuse)


def test_numpy_scalars_and_other_mappings_are_plain_data():
    content = {
        "a": np.float32(0.1), "b": np.int64(2**62), "c": UserDict({"d": np.bool_(True)}),
        "e": (1, 2), "f": np.float32("nan"), "g": UserDict({"h": np.float64("inf")}),
    }  # fmt: skip
    found = load("example", dump("example", content), "file")
    assert found["a"] == float(np.float32(0.1))
    assert found["b"] == 2**62
    assert found["c"] == {"d": True}
    assert found["e"] == [1, 2]
    assert math.isnan(found["f"])
    assert found["g"] == {"h": math.inf}


class Colour(Enum):
    red = "red"


@pytest.mark.parametrize(
    ("value", "said"), [(Colour.red, "Colour"), (b"x", "bytes"), ({1, 2}, "set"), (1j, "complex")]
)
@pytest.mark.parametrize("beside", [1.0, math.nan])
def test_what_is_not_plain_data_is_refused(value, said, beside):
    with pytest.raises(RepositoryError) as caught:
        dump("run", {"config": [value], "beside": beside})
    assert caught.value.asked == f"a run cannot be stored: a {said} is not plain data"
    assert "numbers" in caught.value.exists


def test_a_structure_without_end_is_refused():
    content = {}
    content["self"] = content
    with pytest.raises(RepositoryError, match="a run cannot be stored"):
        dump("run", content)


def test_a_flip_of_any_bit_is_found():
    data = dump("round", {"loss": math.nan, "text": "abc", "list": [1, 2.5]})
    for place in range(len(data)):
        for bit in range(8):
            flipped = bytearray(data)
            flipped[place] ^= 1 << bit
            with pytest.raises(RepositoryError):
                load("round", bytes(flipped), "file")


@given(st.binary(max_size=200))
def test_whatever_lies_there_is_read_or_refused(data):
    with pytest.raises(RepositoryError, match="damaged"):
        load("round", data, "file")


@given(plain, st.sampled_from([0, 1, "1", None]))
def test_json_that_is_no_manifest_is_refused(content, version):
    data = json.dumps({"format": version, "kind": "round", "sha256": "", "content": content})
    with pytest.raises(RepositoryError, match="damaged"):
        load("round", data.encode(), "file")


def test_deep_nesting_is_refused():
    with pytest.raises(RepositoryError, match="damaged"):
        load("round", b"[" * 100_000, "file")


def test_a_damaged_manifest_is_named():
    with pytest.raises(RepositoryError) as caught:
        load("round", dump("round", {"a": 1}).replace(b"1}}", b"2}}"), "/store/1.json")
    assert str(caught.value) == (
        "/store/1.json is damaged: its SHA-256 is not the one it was stored with\n"
        "  next: aeros models verify --heal, or --heal-from COPY, a copy of the repository"
    )


def test_another_kind_is_refused():
    with pytest.raises(RepositoryError, match="damaged"):
        load("round", dump("model", {"a": 1}), "file")


def test_a_newer_format_says_what_to_do():
    data = dump("round", {}).replace(b'{"format":2', b'{"format":3')
    with pytest.raises(RepositoryError) as caught:
        load("round", data, "/store/1.json")
    assert str(caught.value) == (
        "/store/1.json was written in format 3 by a newer aeros-zarr\n"
        "  exists: formats up to 2 are read here\n"
        "  provider: aeros-zarr\n"
        "  next: pip install --upgrade aeros-zarr"
    )

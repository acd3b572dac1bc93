"""Compressed bodies: of one member or several, whole or damaged, bounded."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_serving.protocol.errors import Malformed, TooLarge
from aeros_serving.rest.compression import inflated, packed


@given(st.lists(st.binary(max_size=3000), min_size=1, max_size=4))
def test_members_are_read_one_behind_the_other(parts):
    body = b"".join(gzip.compress(part, mtime=0) for part in parts)
    assert inflated("gzip", body, 20_000) == b"".join(parts)


@given(st.binary(max_size=3000), st.sampled_from(["gzip", "deflate"]))
def test_what_is_packed_is_read(body, name):
    assert inflated(name, packed(name, body)[0], 3000) == body


@pytest.mark.parametrize("cut", [1, 10, -1, -9])
@pytest.mark.parametrize("members", [1, 2])
def test_a_member_that_is_not_whole_is_refused(members, cut):
    whole = gzip.compress(b"a" * 100, mtime=0)
    with pytest.raises(Malformed, match="gzip"):
        inflated("gzip", whole * (members - 1) + whole[:cut], 10**6)


def test_what_follows_the_last_member_has_to_be_one():
    with pytest.raises(Malformed, match="no gzip"):
        inflated("gzip", gzip.compress(b"a", mtime=0) + b"no member", 100)


@pytest.mark.parametrize("members", [1, 2, 1000])
def test_members_together_have_one_bound(members):
    body = gzip.compress(b" " * (2_000_000 // members), mtime=0) * members
    assert len(inflated("gzip", body, 2_000_000)) == 2_000_000
    tracemalloc.start()
    with pytest.raises(TooLarge, match="more than 100,000 bytes"):
        inflated("gzip", body, 100_000)
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_other_encodings_are_named():
    with pytest.raises(Malformed, match="br is none of gzip, deflate"):
        inflated("br", zlib.compress(b""), 10)

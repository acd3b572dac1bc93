"""Bodies that are compressed: one member or several, bounded, and in time linear in their bytes."""

import gzip
import time
import zlib

import pytest

from aeros_serving.protocol.errors import Malformed, TooLarge
from aeros_serving.rest.compression import inflated

DATA = bytes(range(256)) * 1000


@pytest.mark.parametrize("parts", [1, 2, 7, 300])
def test_a_file_of_several_members_is_read_whole(parts):
    size = -(-len(DATA) // parts)
    members = [gzip.compress(DATA[at : at + size]) for at in range(0, len(DATA), size)]
    assert inflated("gzip", b"".join(members), len(DATA)) == DATA


def test_deflate_is_read():
    assert inflated("deflate", zlib.compress(DATA), len(DATA)) == DATA


def test_what_is_larger_than_the_limit_is_refused():
    with pytest.raises(TooLarge, match="more than 255,999 bytes"):
        inflated("gzip", gzip.compress(DATA), len(DATA) - 1)
    two = gzip.compress(DATA) * 2
    with pytest.raises(TooLarge):
        inflated("gzip", two, 2 * len(DATA) - 1)
    assert inflated("gzip", two, 2 * len(DATA)) == DATA * 2


@pytest.mark.parametrize(
    "body",
    [b"", b"none", gzip.compress(DATA)[:-1], gzip.compress(DATA)[:500],
     gzip.compress(DATA) + b"more", gzip.compress(DATA) + gzip.compress(DATA)[:9]],
    ids=["empty", "other", "no last byte", "half", "garbage", "half a member"],
)  # fmt: skip
def test_what_is_not_whole_is_refused(body):
    with pytest.raises(Malformed):
        inflated("gzip", body, 10**7)


@pytest.mark.parametrize("last", range(65_500, 65_560, 7))
def test_output_that_ends_with_the_input_is_read(last):
    """What the decoder still holds when all input is read belongs to the body."""
    data = b" " * (last * 16)
    assert inflated("gzip", gzip.compress(data), len(data)) == data


def test_time_grows_with_the_bytes():
    def seconds(members):
        body = gzip.compress(b"") * members
        start = time.thread_time()
        assert inflated("gzip", body, 100) == b""
        return time.thread_time() - start

    seconds(2000)
    assert min(seconds(40_000) for _ in range(3)) < 60 * min(seconds(2000) for _ in range(3))

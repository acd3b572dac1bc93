import contextlib
import gzip
import lzma
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aeros_core.errors import ConfigError, DataError
from aeros_core.files import decompression
from aeros_core.testing.examples.fuzzing import damaged

PACKED = {"a.gz": gzip.compress, "a.xz": lzma.compress}


@pytest.mark.parametrize("name", PACKED)
@given(content=st.binary(max_size=50), more=st.binary(max_size=50))
def test_files_in_several_pieces_are_unpacked_whole(name, content, more):
    pack = PACKED[name]
    assert decompression.unpack(pack(content) + pack(more), Path(name)) == content + more
    assert decompression.unpack(content, Path("a.csv")) == content


@pytest.mark.parametrize("name", PACKED)
@given(data=st.data())
def test_damaged_files_are_read_or_refused(name, data):
    whole = PACKED[name](b"some bytes" * 20)
    with contextlib.suppress(DataError):
        assert isinstance(decompression.unpack(data.draw(damaged(whole)), Path(name)), bytes)


def test_xz_that_asks_for_a_dictionary_of_gigabytes():
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 2**30}]
    packed = lzma.compress(b"some bytes", filters=filters)
    with pytest.raises(DataError, match=r"is damaged: Memory usage limit exceeded"):
        decompression.unpack(packed, Path("a.xz"))


def test_what_becomes_too_large_is_refused(monkeypatch):
    monkeypatch.setenv(decompression.VARIABLE, "1")
    packed = zlib.compressobj(9, zlib.DEFLATED, 31)
    content = packed.compress(bytes(2**20 + 1)) + packed.flush()
    with pytest.raises(DataError) as caught:
        decompression.unpack(content, Path("a.gz"))
    assert str(caught.value) == (
        f"a.gz becomes more than the 1 MiB allowed for a file of "
        f"{decompression.spelled(len(content))}"
        " when it is unpacked\n  next: AEROS_UNPACK_MB=4 in the environment allows four times as"
        " much, if the file is as it should be"
    )
    monkeypatch.setenv(decompression.VARIABLE, "4")
    assert len(decompression.unpack(content, Path("a.gz"))) == 2**20 + 1


@pytest.mark.parametrize("told", ["0", "-1", "many", "1.5", "٣", "1e3"])
def test_a_bound_that_is_no_number(monkeypatch, told):
    monkeypatch.setenv(decompression.VARIABLE, told)
    with pytest.raises(ConfigError, match=r"AEROS_UNPACK_MB must be a whole number of MB from 1"):
        decompression.allowed(1)


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 bytes"), (1023, "1023 bytes"), (1024, "1 KiB"), (3 * 2**29, "1.5 GiB"),
     (2**60, "1024 PiB")],
)  # fmt: skip
def test_sizes_as_people_say_them(number, text):
    assert decompression.spelled(number) == text

"""A stream that never fails, whatever becomes of what is behind it."""

import io

import pytest

from aeros_core.cli.console import ResilientStream


class Full(io.StringIO):
    """A stream that takes nothing."""

    def __init__(self, error):
        super().__init__()
        self.error = error

    def write(self, text):
        raise self.error

    def flush(self):
        raise self.error


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left on device"),
     OSError(5, "Input/output error"), ValueError("I/O operation on closed file")],
)  # fmt: skip
def test_what_cannot_be_written_is_dropped(error):
    other = io.StringIO()
    stream = ResilientStream(Full(error), "standard output", other)
    assert stream.write("abc") == 3
    stream.writelines(["a", "b"])
    stream.flush()
    print("more", file=stream)
    full = "standard output takes no more (No space left on device)"
    assert (full in other.getvalue()) == (getattr(error, "errno", 0) == 28)


def test_signs_that_a_terminal_has_not_are_spelled():
    raw = io.BytesIO()
    plain = io.TextIOWrapper(raw, encoding="ascii")
    stream = ResilientStream(plain, "standard output", io.StringIO())
    stream.write("größe …\n")
    stream.flush()
    assert raw.getvalue() == b"gr\\xf6\\xdfe \\u2026\n"


def test_everything_else_is_the_streams_own():
    stream = ResilientStream(io.StringIO(), "standard output", io.StringIO())
    assert not stream.isatty()
    stream.write("a")
    assert stream.getvalue() == "a"

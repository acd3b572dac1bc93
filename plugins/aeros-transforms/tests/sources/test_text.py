import gzip

import numpy as np
import pytest

from aeros_core.errors import ConfigError, DataError
from aeros_core.testing import SourceTests
from aeros_transforms.sources.text import Text

SAID = {"ANNA": "to be, or not to be: that is it", "BOB": "words, words, words", "CY": "hi"}
PLAY = "".join(f"{name}:\n{line}\n\n" for name, line in SAID.items())


def make(path, **options):
    defaults = {"window": 5, "stride": 1, "min_characters": 10, "test_fraction": 0.4}
    defaults |= {"alphabet": "", "unknown": "refuse"}
    return Text(**{"path": str(path), **defaults, **options})


@pytest.fixture
def path(tmp_path):
    (tmp_path / "play.txt.gz").write_bytes(gzip.compress(PLAY.encode()))
    return tmp_path / "play.txt.gz"


class TestText(SourceTests):
    @pytest.fixture(autouse=True)
    def _file(self, path):
        self.path = path

    def make(self):
        return make(self.path)


def decoded(data):
    """Return {speaker: [(window, next character)]} as text."""
    alphabet = np.array(data.schema["text"].categories)
    found = {}
    for window, speaker, character in zip(
        data.columns["text"], data.columns["speaker"], data.columns["next"], strict=True
    ):
        name = data.schema["speaker"].categories[speaker]
        found.setdefault(name, []).append(("".join(alphabet[window]), alphabet[character]))
    return found


def windows(text, size, stride):
    return [(text[i : i + size], text[i + size]) for i in range(0, len(text) - size, stride)]


@pytest.mark.parametrize("stride", [1, 3])
def test_windows_of_each_speakers_two_parts(path, stride):
    source = make(path, stride=stride)
    cut = {name: len(line) - int(len(line) * 0.4) for name, line in SAID.items() if name != "CY"}
    train, test = decoded(source.load("train")), decoded(source.load("test"))
    assert train == {n: windows(SAID[n][: cut[n]], 5, stride) for n in cut}
    assert test == {n: windows(SAID[n][cut[n] :], 5, stride) for n in cut}


def test_schema(path):
    schema = make(path).load("train").schema
    assert schema["text"].categories == tuple(sorted(set(PLAY)))
    assert schema["text"].shape == (5,)
    assert schema["next"].categories == schema["text"].categories
    assert schema["speaker"].categories == ("ANNA", "BOB")
    assert schema.target == "next"


def test_no_test_split(path):
    assert make(path, test_fraction=0.0).load("test") is None
    assert decoded(make(path, test_fraction=0.0).load("train"))["ANNA"][-1] == (" is i", "t")


def test_windows_line_ends_are_read_like_others(tmp_path, path):
    other = tmp_path / "dos.txt"
    other.write_bytes(b"\xef\xbb\xbf" + PLAY.replace("\n", "\r\n").encode())
    assert decoded(make(other).load("train")) == decoded(make(path).load("train"))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"window": 0}, "transformer.text.window must be at least 1, got 0"),
        ({"stride": 0}, "transformer.text.stride must be at least 1, got 0"),
        ({"min_characters": -1}, "transformer.text.min_characters must be at least 0, got -1"),
        ({"test_fraction": 1.0}, "transformer.text.test_fraction must be 0 to below 1, got 1.0"),
    ],
)
def test_values_out_of_range(options, text):
    with pytest.raises(ConfigError) as caught:
        make("a.txt", **options)
    assert caught.value.asked == text


def test_window_longer_than_any_speech(path):
    with pytest.raises(ConfigError) as caught:
        make(path, window=15).load("test")
    assert str(caught.value) == (
        "transformer.text.window=15 is longer than what anybody says in the test split"
    )


def test_nobody_says_enough(path):
    with pytest.raises(ConfigError) as caught:
        make(path, min_characters=99).load("train")
    assert str(caught.value) == (
        "transformer.text.min_characters=99 leaves no speaker\n"
        "  exists: 3 speakers of at most 31 characters\n"
        "  next: transformer.text.min_characters=31"
    )


def test_text_that_is_no_play(tmp_path):
    (tmp_path / "a.txt").write_text("just a line\n")
    with pytest.raises(DataError) as caught:
        make(tmp_path / "a.txt").load("train")
    assert str(caught.value) == (
        f"{tmp_path}/a.txt holds no speech\n  exists: a line NAME:, lines, and a blank line"
    )


def test_bytes_that_are_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"A:\n\xff\n\n")
    with pytest.raises(DataError, match=r"a\.txt is not UTF-8 text: "):
        make(tmp_path / "a.txt").load("train")

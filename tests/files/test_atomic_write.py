"""A file is written as a whole or not at all, and what others made stays."""

import stat

import pytest

from aeros_core.errors import RepositoryError
from aeros_core.files import atomic_write
from aeros_core.files.atomic_write import replacing


def test_a_file_takes_the_place_of_another(tmp_path):
    path = tmp_path / "model"
    path.write_text("old")
    with replacing(path) as aside:
        aside.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


def test_what_fails_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "model"
    path.write_text("old")
    with (
        pytest.raises(RepositoryError, match="could not be written: no"),
        replacing(path, ValueError),
    ):
        raise ValueError("no")
    assert (path.read_text(), len(list(tmp_path.iterdir()))) == ("old", 1)


def test_a_file_of_others_with_the_name_of_ours_stays(tmp_path, monkeypatch):
    monkeypatch.setattr(atomic_write.secrets, "token_hex", lambda _: "00")
    theirs = tmp_path / ".model.00"
    theirs.write_text("theirs")
    with (
        pytest.raises(RepositoryError, match="could not be written"),
        replacing(tmp_path / "model"),
    ):
        pass
    assert theirs.read_text() == "theirs"


def test_the_file_has_the_usual_mode(tmp_path):
    path, usual = tmp_path / "model", tmp_path / "usual"
    usual.touch()
    with replacing(path) as aside:
        aside.chmod(0o600)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)

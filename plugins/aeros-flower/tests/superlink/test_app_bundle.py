"""Bundles and apps that name our ServerApp."""

import tomllib

import pytest

from aeros_core.errors import ConfigError
from aeros_flower.superlink import app_bundle


def components(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["flwr"]["app"]


def test_our_app_names_both_of_ours_and_holds_no_code(tmp_path):
    app_bundle.project(tmp_path / "made", None)
    assert components(tmp_path / "made")["components"] == {
        "serverapp": app_bundle.SERVER, "clientapp": "aeros_flower.client_app:app",
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"pyproject.toml", "LICENSE"}


def test_of_somebodys_app_the_client_stays_and_the_original_as_it_was(their_app, tmp_path):
    theirs = their_app("rounds = 3\n")
    before = (theirs / "pyproject.toml").read_text()
    app_bundle.project(tmp_path / "made", theirs)
    found = components(tmp_path / "made")
    assert found["components"] == {
        "serverapp": app_bundle.SERVER, "clientapp": "theirs.client_app:app",
    }  # fmt: skip
    assert found["config"] == {"rounds": 3}
    assert (tmp_path / "made" / "theirs" / "client_app.py").read_text() == "app = 1\n"
    assert (theirs / "pyproject.toml").read_text() == before


def test_a_folder_without_an_app_is_named(tmp_path):
    for build in (
        lambda: app_bundle.of(tmp_path),
        lambda: app_bundle.project(tmp_path / "made", tmp_path),
    ):
        with pytest.raises(ConfigError, match="holds no Flower app"):
            build()

"""Bundles and apps that name our ServerApp."""

import tomllib

import pytest

from aeros_core.errors import ConfigError
from aeros_flower import fab

THEIRS = """\
[tool.flwr.app.components]
serverapp = "theirs.server_app:app"
clientapp = "theirs.client_app:app"

[tool.flwr.app.config]
rounds = 3
"""


def components(folder):
    return tomllib.loads((folder / "pyproject.toml").read_text())["tool"]["flwr"]["app"]


def test_our_app_names_both_of_ours_and_holds_no_code(tmp_path):
    fab.project(tmp_path / "made", None)
    assert components(tmp_path / "made")["components"] == {
        "serverapp": fab.SERVER, "clientapp": "aeros_flower.client_app:app",
    }  # fmt: skip
    assert {path.name for path in (tmp_path / "made").iterdir()} == {"pyproject.toml", "LICENSE"}


def test_of_somebodys_app_the_client_stays_and_the_original_as_it_was(tmp_path):
    theirs = tmp_path / "theirs"
    (theirs / "theirs").mkdir(parents=True)
    (theirs / "pyproject.toml").write_text(THEIRS)
    (theirs / "theirs" / "client_app.py").write_text("app = 1")
    fab.project(tmp_path / "made", theirs)
    found = components(tmp_path / "made")
    assert found["components"] == {
        "serverapp": fab.SERVER, "clientapp": "theirs.client_app:app",
    }  # fmt: skip
    assert found["config"] == {"rounds": 3}
    assert (tmp_path / "made" / "theirs" / "client_app.py").read_text() == "app = 1"
    assert (theirs / "pyproject.toml").read_text() == THEIRS


def test_a_folder_without_an_app_is_named(tmp_path):
    for build in (lambda: fab.of(tmp_path), lambda: fab.project(tmp_path / "made", tmp_path)):
        with pytest.raises(ConfigError, match="holds no Flower app"):
            build()

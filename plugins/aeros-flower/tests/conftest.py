"""Keeps Flower from telling anybody, and its logger from standard error; a third party's app."""

import os

import pytest

os.environ.update(FLWR_TELEMETRY_ENABLED="0", FLWR_DISABLE_UPDATE_CHECK="1")


@pytest.fixture
def their_app(tmp_path):
    """A function that makes a third party's Flower app with these options, as TOML."""
    from aeros_flower.superlink import app_bundle

    def make(config):
        folder = tmp_path / "theirs"
        app_bundle.create(
            folder, name="theirs", publisher="somebody", config=config,
            server="theirs.server_app:app", client="theirs.client_app:app",
        )  # fmt: skip
        (folder / "theirs").mkdir()
        for name in ("__init__", "client_app", "server_app"):
            (folder / "theirs" / f"{name}.py").write_text("app = 1\n")
        return folder

    return make

"""Flower App Bundles: what a stock SuperNode fetches to know which ClientApp it runs."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

from aeros_core.errors import ConfigError

__all__ = ["of", "ours"]

_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "aeros-task"
version = "1.0.0"
license = {{ file = "LICENSE" }}
dependencies = ["flwr>={flwr}"]

[tool.hatch.build.targets.wheel]
packages = ["."]

[tool.flwr.app]
publisher = "aeros"
fab-format-version = 1
flwr-version-target = "{flwr}"

[tool.flwr.app.components]
serverapp = "aeros_flower.server_app:app"
clientapp = "aeros_flower.client_app:app"
"""

_LICENSE = b"Apache License, Version 2.0, https://www.apache.org/licenses/LICENSE-2.0\n"


def ours() -> bytes:
    """Return the bundle that names aeros' own ClientApp; it holds no code."""
    from flwr.cli.build import build_fab_from_files

    text = _PROJECT.format(flwr=version("flwr"))
    return build_fab_from_files({"pyproject.toml": text.encode(), "LICENSE": _LICENSE})[0]


def of(folder: Path) -> bytes:
    """Return the bundle of somebody's Flower app.

    Raises:
        ConfigError: The folder holds none.
    """
    from flwr.cli.build import build_fab_from_disk

    if not (folder / "pyproject.toml").is_file():
        raise ConfigError(
            f"controller.app={folder} holds no Flower app",
            exists="a folder with a pyproject.toml that names the app's components",
            hint="controller.app=<folder that flwr run takes>",
        )
    try:
        return build_fab_from_disk(folder)
    except Exception as error:  # typer's Exit and whatever a broken pyproject leads to
        raise ConfigError(
            f"controller.app={folder} cannot be bundled: {error}", hint=f"flwr build --app {folder}"
        ) from error

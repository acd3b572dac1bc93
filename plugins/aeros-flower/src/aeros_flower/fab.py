"""Flower App Bundles: what a stock SuperNode fetches to know which ClientApp it runs."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import version
from pathlib import Path

from aeros_core.errors import ConfigError

__all__ = ["SERVER", "of", "ours", "project"]

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
serverapp = "{server}"
clientapp = "aeros_flower.client_app:app"
"""

_LICENSE = b"Apache License, Version 2.0, https://www.apache.org/licenses/LICENSE-2.0\n"


SERVER = "aeros_flower.bridge:app"
"""The ServerApp of these bundles; it runs nothing by itself."""


def ours() -> bytes:
    """Return the bundle that names aeros' own ClientApp; it holds no code."""
    from aeros_flower.internals import build_fab_from_files

    return build_fab_from_files(_files())[0]


def _files() -> dict[str, bytes]:
    text = _PROJECT.format(flwr=version("flwr"), server=SERVER)
    return {"pyproject.toml": text.encode(), "LICENSE": _LICENSE}


def project(made: Path, app: Path | None) -> None:
    """Write a Flower app as ``flwr run`` takes it, with our ServerApp.

    Args:
        made: Folder that is made.
        app: Somebody's app; None: ours.

    Raises:
        ConfigError: The folder holds none.
    """
    if app is None:
        made.mkdir()
        for name, data in _files().items():
            (made / name).write_bytes(data)
        return
    _check(app)
    shutil.copytree(app, made)
    path = made / "pyproject.toml"
    text = path.read_text(encoding="utf-8")
    ours = re.sub(r"(?m)^\s*serverapp\s*=.*$", f'serverapp = "{SERVER}"', text)
    path.write_text(ours, encoding="utf-8")


def of(folder: Path) -> bytes:
    """Return the bundle of somebody's Flower app.

    Raises:
        ConfigError: The folder holds none.
    """
    from aeros_flower.internals import build_fab_from_disk

    _check(folder)
    try:
        return build_fab_from_disk(folder)
    except Exception as error:  # typer's Exit and whatever a broken pyproject leads to
        raise ConfigError(
            f"controller.app={folder} cannot be bundled: {error}", hint=f"flwr build --app {folder}"
        ) from error


def _check(folder: Path) -> None:
    if not (folder / "pyproject.toml").is_file():
        raise ConfigError(
            f"controller.app={folder} holds no Flower app",
            exists="a folder with a pyproject.toml that names the app's components",
            hint="controller.app=<folder that flwr run takes>",
        )

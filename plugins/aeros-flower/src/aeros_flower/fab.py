"""Flower App Bundles: what a stock SuperNode fetches to know which ClientApp it runs."""

from __future__ import annotations

import re
import shutil
import tomllib
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from io import BytesIO
from pathlib import Path
from typing import Any

from aeros_core.errors import ConfigError

__all__ = ["SERVER", "config", "of", "ours", "project", "unpack"]

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


def config(folder: Path) -> dict[str, Any]:
    """Return the configuration that somebody's Flower app has by itself.

    Raises:
        ConfigError: The folder holds none, or it cannot be read.
    """
    _check(folder)
    try:
        told = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        return dict(told["tool"]["flwr"]["app"].get("config") or {})
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(
            f"{folder / 'pyproject.toml'} is no Flower app's: {error}",
            hint=f"flwr build --app {folder}",
        ) from error


def unpack(bundle: bytes, folder: Path, config: Mapping[str, Any]) -> None:
    """Write the files of a bundle of `of`, with another configuration of the app.

    Args:
        bundle: What Flower made.
        folder: Where to.
        config: What is another, names of nested tables joined by dots.
    """
    import tomli_w  # flwr writes what is bundled with it

    with zipfile.ZipFile(BytesIO(bundle)) as held:
        held.extractall(folder, [name for name in held.namelist() if not name.startswith(".info/")])
    path = folder / "pyproject.toml"
    told = tomllib.loads(path.read_text(encoding="utf-8"))
    for name, value in config.items():
        table = told["tool"]["flwr"]["app"].setdefault("config", {})
        while name not in table:
            first = next(n for n in table if name.startswith(f"{n}."))
            table, name = table[first], name.removeprefix(f"{first}.")  # noqa: PLW2901
        table[name] = value
    path.write_bytes(tomli_w.dumps(told).encode())


def _check(folder: Path) -> None:
    if not (folder / "pyproject.toml").is_file():
        raise ConfigError(
            f"controller.app={folder} holds no Flower app",
            exists="a folder with a pyproject.toml that names the app's components",
            hint="controller.app=<folder that flwr run takes>",
        )

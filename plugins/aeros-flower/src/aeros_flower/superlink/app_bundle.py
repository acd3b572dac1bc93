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

__all__ = ["CLIENT", "SERVER", "config", "create", "of", "ours", "project", "unpack"]

_PROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{name}"
version = "1.0.0"
license = {{ file = "LICENSE" }}
dependencies = ["flwr>={flwr}"]

[tool.hatch.build.targets.wheel]
packages = ["."]

[tool.flwr.app]
publisher = "{publisher}"
fab-format-version = 1
flwr-version-target = "{flwr}"

[tool.flwr.app.components]
serverapp = "{server}"
clientapp = "{client}"
"""

_LICENSE = b"Apache License, Version 2.0, https://www.apache.org/licenses/LICENSE-2.0\n"


SERVER = "aeros_flower.superlink.grid_bridge:app"
"""The ServerApp of these bundles; it runs nothing by itself."""

CLIENT = "aeros_flower.client_app:app"
"""The ClientApp of aeros."""


def ours() -> bytes:
    """Return the bundle that names aeros' own ClientApp; it holds no code."""
    from aeros_flower.system.flower_internals import build_fab_from_files

    return build_fab_from_files(_files())[0]


def _files(
    *,
    name: str = "aeros-task",
    publisher: str = "aeros",
    server: str = SERVER,
    client: str = CLIENT,
    config: str = "",
) -> dict[str, bytes]:
    text = _PROJECT.format(
        name=name, publisher=publisher, server=server, client=client, flwr=version("flwr")
    )
    if config:
        text += f"\n[tool.flwr.app.config]\n{config}"
    return {"pyproject.toml": text.encode(), "LICENSE": _LICENSE}


def create(folder: Path, **options: str) -> None:
    """Make a folder with the project of a Flower app, and no code.

    Args:
        folder: Folder that is made.
        options: What differs from ours: ``name``, ``publisher``, ``server`` and ``client``
            (where the ServerApp and the ClientApp are, as ``package.module:app``) and
            ``config``, the app's own options as TOML.
    """
    folder.mkdir(parents=True)
    for name, data in _files(**options).items():
        (folder / name).write_bytes(data)


def project(made: Path, app: Path | None) -> None:
    """Write a Flower app as ``flwr run`` takes it, with our ServerApp.

    Args:
        made: Folder that is made.
        app: Somebody's app; None: ours.

    Raises:
        ConfigError: The folder holds none.
    """
    if app is None:
        create(made)
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
    from aeros_flower.system.flower_internals import build_fab_from_disk

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

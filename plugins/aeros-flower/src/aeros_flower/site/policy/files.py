"""Files by which a site decides: nobody else may write them, and every line is understood."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import Any

import yaml

from aeros_core.errors import ConfigError

__all__ = ["check_owner", "mapping"]

_LARGEST = 2**20
"""Bytes of a policy file, at most."""


def mapping(path: Path) -> dict[Any, Any]:
    """Return the mapping that a YAML file holds.

    Raises:
        ConfigError: It is missing, others may write it, it is not YAML, or a key comes twice.
    """
    text = _text(path)
    try:
        told = _UniqueKeys(text).get_single_data()
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(
            f"{path} is not a YAML file that can be read: {_said(error)}",
            hint="KEY: VALUE on each line, each key once",
        ) from error
    if told is None:
        return {}
    if not isinstance(told, dict):
        raise ConfigError(
            f"{path} must hold keys and values, got {type(told).__name__}",
            hint="KEY: VALUE on each line",
        )
    return told


def _said(error: Exception) -> str:
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    where = f" in line {mark.line + 1}" if mark else ""
    return f"{problem or error or type(error).__name__}{where}"


def _text(path: Path) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(
            f"the policy {path} was not read: {error.strerror}", hint="--policy FILE"
        ) from error
    try:
        check_owner(path, os.fstat(descriptor))  # what is checked is what is read
    except BaseException:
        os.close(descriptor)
        raise
    with os.fdopen(descriptor, "rb") as file:
        data = file.read(_LARGEST + 1)
    if len(data) > _LARGEST:
        raise ConfigError(
            f"{path} must have at most {_LARGEST} bytes", hint="--policy FILE, another one"
        )
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        why = f"{path} must be UTF-8: {error.reason}"
        raise ConfigError(why, hint="save it as UTF-8") from error


def check_owner(path: Path, found: os.stat_result) -> None:
    """Refuse a file that is another user's, or that others may write or exchange.

    Args:
        path: Its name.
        found: What the system knows of the opened file.

    Raises:
        ConfigError: It is not a regular file, its owner is neither this user nor root, or it or
            its folder may be written by others.
    """
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"{path} must be a regular file", hint="name another file")
    if found.st_uid not in (os.getuid(), 0):
        raise ConfigError(
            f"{path} belongs to another user (uid {found.st_uid})",
            hint=f"a copy of your own, or chown root {path}",
        )
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise ConfigError(f"others may write {path}", hint=f"chmod go-w {path}")
    folder = path.resolve().parent
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise ConfigError(
            f"anybody may exchange {path}: its folder is open to all", hint=f"chmod o-w {folder}"
        )


class _UniqueKeys(yaml.SafeLoader):  # type: ignore[misc]  # PyYAML says nothing of its types
    """Reads plain data, and refuses a key that comes twice."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            name = key.value if isinstance(key, yaml.ScalarNode) else str(key)
            if name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{name}' comes twice", key.start_mark
                )
            seen.add(name)
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return made

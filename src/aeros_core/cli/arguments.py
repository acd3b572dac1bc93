"""What is typed behind a verb: names, and overrides that choose the repository."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aeros_core.errors import ConfigError

if TYPE_CHECKING:
    from aeros_core.roles.repository import Repository

__all__ = ["named", "repository", "without"]


def repository(words: Sequence[str]) -> tuple[Repository, list[str]]:
    """Return the repository that the overrides among these words choose, and the other words.

    Raises:
        ConfigError: An override names what does not exist.
        RepositoryError: The repository cannot be opened.
    """
    from aeros_core.cli.credentials import refuse_credentials
    from aeros_core.config import build, store
    from aeros_core.plugins import discovery

    refuse_credentials(words)
    registry = discovery.discover()
    cfg = store.load([word for word in words if "=" in word], registry, root="models")
    node = store.plain(cfg)["repository"]
    built: Repository = build.build_part(registry, "repository", node)
    return built, [word for word in words if "=" not in word]


def named(word: str) -> tuple[str, str | None]:
    """Return the two halves of ``NAME:VERSION``, None where no version is named.

    Raises:
        ConfigError: There is a colon and nothing behind it.
    """
    name, colon, version = word.partition(":")
    if colon and not version:
        raise ConfigError(
            f"'{word}' names no version behind its colon", hint=f"{name}, or {name}:1"
        )
    return name, version or None


def without(repository: Repository, power: str, what: str) -> ConfigError:
    """Return the error of a repository that lacks a power."""
    return ConfigError(
        f"{type(repository).__name__} is a repository that cannot {what}: it has no {power}",
        hint="repository=<another one>; aeros plugins lists them",
    )

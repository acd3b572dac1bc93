"""What is typed behind a verb: names, and overrides that choose the repository."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aeros_core.errors import ConfigError

if TYPE_CHECKING:
    from aeros_core.roles import Repository

__all__ = ["counted", "named", "page", "repository", "shown", "without"]


def repository(words: Sequence[str]) -> tuple[Repository, list[str]]:
    """Return the repository that the overrides among these words choose, and the other words.

    Raises:
        ConfigError: An override names what does not exist.
        RepositoryError: The repository cannot be opened.
    """
    from aeros_core import compose, config, plugins
    from aeros_core.addresses import refuse_credentials

    refuse_credentials(words)
    registry = plugins.discover()
    cfg = config.load([word for word in words if "=" in word], registry, root="models")
    node = config.plain(cfg)["repository"]
    built: Repository = compose.build_part(registry, "repository", node)
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


def counted(number: int, noun: str) -> str:
    """Return for example ``1 file`` or ``1,234 files``."""
    return f"{number:,} {noun}{'s'[: number != 1]}"


def shown(noun: str, offset: int, number: int, total: int) -> str:
    """Return for example ``21 to 40 of 345 runs; --offset 40 shows the next``."""
    last = offset + number
    more = f"; --offset {last} shows the next" if number and last < total else ""
    here = f"{offset + 1:,} to {last:,}" if number else "none"
    return f"{here} of {counted(total, noun)}{more}"


def page(described: dict[str, Any]) -> str:
    """Return plain data as YAML, for people."""
    from omegaconf import OmegaConf

    return OmegaConf.to_yaml(OmegaConf.create(described)).rstrip()


def without(repository: Repository, power: str, what: str) -> ConfigError:
    """Return the error of a repository that lacks a power."""
    return ConfigError(
        f"{type(repository).__name__} is a repository that cannot {what}: it has no {power}",
        hint="repository=<another one>; aeros plugins lists them",
    )

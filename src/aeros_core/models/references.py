"""Where a task's model starts, if not afresh: from one that the repository keeps."""

from __future__ import annotations

from aeros_core.errors import ConfigError
from aeros_core.parameters import Layout, Parameters
from aeros_core.records import ModelInfo
from aeros_core.roles.repository import Repository

__all__ = ["describe", "load_initial", "parent_digests", "resolve"]


def resolve(start: str, repository: Repository) -> str:
    """Return ``NAME:VERSION`` of a model that is named by its version, a tag, or nothing.

    A tag may move while a task runs or before it is resumed; a version stays what it is.

    Raises:
        ConfigError: There is no such model.
    """
    info = _found(start, repository)
    return f"{info.name}:{info.version}"


def parent_digests(start: str | None, repository: Repository) -> tuple[str, ...]:
    """Return the digest of the model that a task starts from, if it starts from one."""
    return () if start is None else (_found(start, repository).digest,)


def describe(start: str, repository: Repository) -> dict[str, str | int]:
    """Return name, version and digest of the model that a task answers with.

    Raises:
        ConfigError: There is no such model.
    """
    info = _found(start, repository)
    return {"name": info.name, "version": info.version, "digest": info.digest}


def load_initial(start: str, repository: Repository, fresh: Parameters) -> Parameters:
    """Return the stored parameters, verified.

    Args:
        start: ``NAME``, ``NAME:VERSION`` or ``NAME:TAG``.
        repository: Where they are.
        fresh: What the trainer would start from: the stored ones have to be laid out alike.

    Raises:
        ConfigError: There is no such model, or it has other tensors.
        RepositoryError: It is damaged or cannot be read.
    """
    info = _found(start, repository)
    stored = repository.model(info.name, info.version).parameters
    if stored.layout != fresh.layout:
        raise ConfigError(
            f"task.start={start} has other tensors than trainer.model: "
            + _difference(stored.layout, fresh.layout),
            hint=f"the options of trainer.model that aeros models show {start} prints",
        )
    return stored


def _found(start: str, repository: Repository) -> ModelInfo:
    name, _, wanted = start.partition(":")
    known = repository.models(name) if name else []
    if not known:
        names = sorted({info.name for info in repository.models()})
        raise ConfigError(
            f"task.start={start} names no stored model",
            exists=", ".join(names) or "no model at all",
            hint="aeros models list",
        )
    newest = max(known, key=lambda info: info.version)
    if wanted in ("", "latest"):
        return newest
    for info in known:
        if wanted == str(info.version) or wanted in info.tags:
            return info
    tags = sorted({tag for info in known for tag in info.tags})
    raise ConfigError(
        f"task.start={start}: {name} has no version and no tag '{wanted}'",
        exists=", ".join([f"versions up to {newest.version}", *tags]),
        hint=f"task.start={name}:{newest.version}",
    )


def _difference(stored: Layout, fresh: Layout) -> str:
    there = {t.name: (t.dtype, *t.shape) for t in stored.tensors}
    asked = {t.name: (t.dtype, *t.shape) for t in fresh.tensors}
    name = next((n for n in (*asked, *there) if there.get(n) != asked.get(n)), "their order")
    return f"{name} is {there.get(name, 'absent')} there and {asked.get(name, 'absent')} here"

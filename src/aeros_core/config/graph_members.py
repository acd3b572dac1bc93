"""The members of an inferencer that asks others: which model each has, and what answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from aeros_core.config import store
from aeros_core.errors import ConfigError, PluginError
from aeros_core.inference.service import Member, Service
from aeros_core.plugins.registry import Registry
from aeros_core.records import Model
from aeros_core.roles.inferencer import SupportsMembers
from aeros_core.roles.repository import ModelSource

__all__ = ["attach_members", "default_inferencer"]


class _Builds(Protocol):
    def __call__(
        self, model: Model, inferencer: Mapping[str, Any], *, repository: ModelSource | None
    ) -> Service: ...


def attach_members(
    asking: SupportsMembers, registry: Registry, repository: ModelSource | None, build: _Builds
) -> None:
    """Give an inferencer the members it names; they are built when it is loaded.

    Raises:
        ConfigError: One of them names a model, and there is no repository.
    """
    asking.take(
        {
            name: _member(name, node, registry, repository, build)
            for name, node in asking.members.items()
        }
    )


def _member(
    name: str,
    node: Mapping[str, Any],
    registry: Registry,
    repository: ModelSource | None,
    build: _Builds,
) -> Member:
    named, _, version = str(node.get("model") or "").partition(":")
    if named and repository is None:
        raise ConfigError(
            f"member '{name}' names the model {node['model']}, and there is no repository",
            hint="hand build_service the repository",
        )

    def service(model: Model) -> Service:
        if named and repository is not None:
            model = repository.model(named, version or "latest")
        return build(
            model,
            node.get("inferencer") or default_inferencer(registry, model),
            repository=repository,
        )

    return Member(service)


def default_inferencer(registry: Registry, model: Model) -> dict[str, Any]:
    """Return the inferencer that goes with a model: torch for a module, onnx for a graph.

    Raises:
        PluginError: It is not installed here.
    """
    name = "torch" if model.module else "onnx"
    option = registry.options.get(("inferencer", name))
    if option is None:
        raise PluginError(
            f"model '{model.name}' is usually answered with by inferencer={name}",
            exists=", ".join(registry.names("inferencer")) or "no inferencer at all",
            hint=f"pip install aeros-{name}",
        )
    return store.plain(store.structured(option.config))

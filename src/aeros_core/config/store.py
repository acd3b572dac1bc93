"""Configuration: what discovery found, laid before Hydra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar

import hydra
from hydra._internal import hydra as hydra_core
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.search_path_plugin import SearchPathPlugin
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from aeros_core.config import sweepers
from aeros_core.config.loading import former_options
from aeros_core.config.loading.checked_loader import CheckedLoader, CheckedRepository
from aeros_core.config.loading.diagnostics import explain, first_line
from aeros_core.config.loading.loader import GuardedLoader
from aeros_core.errors import ConfigError
from aeros_core.options.choices import MANY, TARGET
from aeros_core.plugins import config_files
from aeros_core.plugins.registry import Health, Option, Registry
from aeros_core.tasks.infrastructure import Description
from aeros_core.tasks.presets import TASKS

__all__ = [
    "MANY",
    "ROOT",
    "SINCE",
    "load",
    "plain",
    "preserved_store",
    "register",
    "structured",
]

ROOT = f"pkg://{config_files.OURS}"

SINCE: Mapping[str, Any] = {"version_base": "1.3"} if hydra.__version__ < "1.4" else {}
"""The defaults of Hydra that are meant; from 1.4 on to name them is deprecated."""


class _PluginConfigs(SearchPathPlugin):
    """Puts each plugin's own ``conf`` package on Hydra's search path."""

    packages: ClassVar[list[str]] = []

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for package in self.packages:
            search_path.append(provider=package, path=f"pkg://{package}")


def register(registry: Registry) -> None:
    """Store every option of every plugin where Hydra will look for it."""
    store = ConfigStore.instance()
    CheckedLoader.former = former_options.known(registry)
    CheckedRepository.offered = sweepers.offered(registry)
    for name, kind in TASKS.items():
        store.store(group="task", name=name, node=structured(kind))
    store.store(group="infrastructure", name="this_machine", node=structured(Description))
    for option in sweepers.stored(registry):
        package = f"{option.group}.{option.name}" if option.group in MANY else None
        store.store(
            group=option.group,
            name=option.name,
            node=_node(option),
            package=package,
            provider=option.plugin.distribution,
        )
    packages = [
        config_files.package_of(plugin) for plugin in registry.plugins if plugin.status is Health.OK
    ]
    _PluginConfigs.packages = [name for name in packages if name not in ("", config_files.OURS)]
    Plugins.instance().register(_PluginConfigs)
    # Hydra has no hook between composing a configuration and building what it names.
    hydra_core.ConfigLoaderImpl = GuardedLoader  # type: ignore[attr-defined]


@contextmanager
def preserved_store() -> Iterator[None]:
    """Put back afterwards what Hydra knows of options now."""
    store = ConfigStore.instance()
    before, packages = _branches(store.repo), list(_PluginConfigs.packages)
    try:
        yield
    finally:
        store.repo, _PluginConfigs.packages = before, packages


def _branches(node: Any) -> Any:
    """Return a copy of nested dictionaries, what lies in them left as it is."""
    return {k: _branches(v) for k, v in node.items()} if isinstance(node, dict) else node


def _node(option: Option) -> DictConfig:
    """Return the configuration of an option; a collector's with room for a codec."""
    node = structured(option.config)
    if option.group == "collector":
        with open_dict(node):
            node["codec"] = None
    return node


def structured(dataclass: type[Any]) -> DictConfig:
    """Return a dataclass as a structured configuration that may be overridden.

    OmegaConf makes the configuration of a frozen dataclass read-only.
    """
    config: DictConfig = OmegaConf.structured(dataclass)
    _thaw(config)
    return config


def _thaw(node: Any) -> None:
    if isinstance(node, DictConfig):
        node._set_flag("readonly", None)
        for key in node:
            _thaw(node._get_node(key))


def load(overrides: Sequence[str], registry: Registry, root: str = "config") -> DictConfig:
    """Compose the configuration that these command-line overrides ask for.

    Raises:
        ConfigError: An override names what does not exist.
    """
    from hydra import compose, initialize_config_module

    register(registry)
    try:
        with initialize_config_module(config_files.OURS, **SINCE):
            return compose(root, overrides=list(overrides))
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise explain(error, registry) from error


def plain(config: DictConfig) -> dict[str, Any]:
    """Return a resolved configuration as builtins alone; enums by name.

    Raises:
        ConfigError: A value is missing, or an interpolation leads nowhere.
    """
    try:
        data = OmegaConf.to_container(config, resolve=True, throw_on_missing=True, enum_to_str=True)
    except OmegaConfBaseException as error:
        raise ConfigError(
            f"the configuration cannot be resolved: {first_line(error)}",
            hint=f"{error.full_key}=<value>" if error.full_key else "",
        ) from error
    assert isinstance(data, dict)  # noqa: S101 - a DictConfig becomes a dict
    if isinstance(collector := data.get("collector"), dict) and collector.get("codec", 0) is None:
        del collector["codec"]
    return {str(key): _chosen(value) if key in MANY else value for key, value in data.items()}


def _chosen(nodes: Any) -> Any:
    """Return the options that were chosen, without presets of those that were not.

    An experiment may preset an option that the command line then replaces by another.
    """
    if not isinstance(nodes, dict):
        return nodes
    return {k: v for k, v in nodes.items() if not isinstance(v, dict) or TARGET in v}


def check_typed(typed: Sequence[str], data: Mapping[str, Any]) -> None:
    """Refuse overrides that set an option of what was not chosen.

    Args:
        typed: The overrides of the command line.
        data: The plain configuration.

    Raises:
        ConfigError: An override names a transformer or callback that is not part of the run.
    """
    for word in typed:
        group, *names = word.lstrip("+~").partition("=")[0].split(".")
        chosen = list(data.get(group) or {}) if group in MANY else []
        if group in MANY and names and names[0] not in chosen:
            raise ConfigError(
                f"{word} sets an option of '{names[0]}', which is not chosen",
                exists=f"{group}=[{','.join(chosen)}]",
                hint=f"{group}=[{','.join([*chosen, names[0]])}], or leave it out",
            )


def check_choices(choices: Mapping[str, Any], registry: Registry) -> None:
    """Refuse options that come from configuration files of several packages at once.

    Raises:
        ConfigError: An option's file is shipped by more than one package.
    """
    well = [plugin for plugin in registry.plugins if plugin.status is Health.OK]
    shipped = [(plugin, config_files.shipped(plugin)) for plugin in well]
    for group, chosen in choices.items():
        for name in chosen if isinstance(chosen, list) else [chosen]:
            owners = [plugin for plugin, names in shipped if f"{group}/{name}" in names]
            if len(owners) > 1:
                raise ConfigError(
                    f"{group}={name} is a file of several packages, so none is taken",
                    provider=" and ".join(map(str, owners)),
                    hint=f"pip uninstall one of them, or AEROS_PLUGINS={owners[0].name}",
                )

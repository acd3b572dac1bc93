"""Configuration: what discovery found, laid before Hydra."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable
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

from aeros_core.elements import Description
from aeros_core.errors import ConfigError
from aeros_core.loading import GuardedLoader
from aeros_core.mistakes import explain, first_line
from aeros_core.presets import TASKS
from aeros_core.registry import Health, Option, Plugin, Registry
from aeros_core.sitting import identity_of

__all__ = [
    "MANY",
    "ROOT",
    "SINCE",
    "identity",
    "kept",
    "load",
    "plain",
    "register",
    "thawed",
]

OURS = "aeros_core.conf"
ROOT = f"pkg://{OURS}"

SINCE: Mapping[str, Any] = {"version_base": "1.3"} if hydra.__version__ < "1.4" else {}
"""The defaults of Hydra that are meant; from 1.4 on to name them is deprecated."""

MANY = ("transformer", "callback")
"""Groups of which any number of options is chosen, in order."""


class _PluginConfigs(SearchPathPlugin):
    """Puts each plugin's own ``conf`` package on Hydra's search path."""

    packages: ClassVar[list[str]] = []

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for package in self.packages:
            search_path.append(provider=package, path=f"pkg://{package}")


def register(registry: Registry) -> None:
    """Store every option of every plugin where Hydra will look for it."""
    store = ConfigStore.instance()
    for name, kind in TASKS.items():
        store.store(group="task", name=name, node=thawed(kind))
    store.store(group="infrastructure", name="this_machine", node=thawed(Description))
    for option in registry.options.values():
        package = f"{option.group}.{option.name}" if option.group in MANY else None
        store.store(
            group=option.group,
            name=option.name,
            node=_node(option),
            package=package,
            provider=option.plugin.distribution,
        )
    packages = [_configs(plugin) for plugin in registry.plugins if plugin.status is Health.OK]
    _PluginConfigs.packages = [name for name in packages if name not in ("", OURS)]
    Plugins.instance().register(_PluginConfigs)
    # Hydra has no hook between composing a configuration and building what it names.
    hydra_core.ConfigLoaderImpl = GuardedLoader  # type: ignore[attr-defined]


@contextmanager
def kept() -> Iterator[None]:
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
    node = thawed(option.config)
    if option.group == "collector":
        with open_dict(node):
            node["codec"] = None
    return node


def thawed(dataclass: type[Any]) -> DictConfig:
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
        with initialize_config_module(OURS, **SINCE):
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
    return {k: v for k, v in nodes.items() if not isinstance(v, dict) or "_target_" in v}


def identity(config: Mapping[str, Any]) -> str:
    """Return the digest of everything in a plain configuration that decides the result."""
    text = json.dumps(identity_of(config), sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


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
    shipped = [(plugin, _shipped(_configs(plugin))) for plugin in well]
    for group, chosen in choices.items():
        for name in chosen if isinstance(chosen, list) else [chosen]:
            owners = [plugin for plugin, names in shipped if f"{group}/{name}" in names]
            if len(owners) > 1:
                raise ConfigError(
                    f"{group}={name} is a file of several packages, so none is taken",
                    provider=" and ".join(map(str, owners)),
                    hint=f"pip uninstall one of them, or AEROS_PLUGINS={owners[0].name}",
                )


def _configs(plugin: Plugin) -> str:
    """Return the package of configuration files that a plugin ships; empty without one."""
    if plugin.name == "core":
        return OURS
    package = f"{plugin.module}.conf"
    module = importlib.import_module(plugin.module)
    return package if hasattr(module, "__path__") and importlib.util.find_spec(package) else ""


def _shipped(package: str) -> set[str]:
    return set(_yaml_below(files(package), "")) if package else set()


def _yaml_below(folder: Traversable, prefix: str) -> Iterator[str]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _yaml_below(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".yaml"):
            yield prefix + entry.name.removesuffix(".yaml")

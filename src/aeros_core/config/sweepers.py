"""Launchers and sweepers that plugins register, where Hydra finds them.

Hydra builds launchers and sweepers whose class it has scanned below the package
``hydra_plugins``. Those of our plugins lie in packages of their own; the class is made known
to Hydra once the option is chosen, so that nothing is imported before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import Distribution, distributions
from inspect import isabstract
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.config_source import ConfigSource
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from omegaconf import DictConfig

from aeros_core.errors import PluginError
from aeros_core.plugins.discovery import implementation
from aeros_core.plugins.registry import Option, Plugin, Registry

__all__ = ["KINDS", "check_unambiguous", "load", "offered", "stored"]

KINDS: dict[str, type[Any]] = {"launcher": Launcher, "sweeper": Sweeper}
"""What Hydra asks of the class of each, by section."""

_HYDRAS = "hydra_plugins"
"""The package that those of Hydra's own kind lie in."""

_GROUPS = {f"hydra/{section}" for section in KINDS}
_loaded: set[str] = set()
"""Import paths of classes that were made known to Hydra."""


def stored(registry: Registry) -> Iterator[Option]:
    """Yield the options to store in the configuration.

    A launcher or sweeper that a package of Hydra's own kind offers by the same name is left
    out; to choose it is refused (`check_unambiguous`).
    """
    Plugins.instance()  # Hydra's own packages store what they offer when it first looks for them
    for option in registry.options.values():
        if option.group not in _GROUPS or not _of_hydras(
            option.group, option.name, [option.plugin]
        ):
            yield option


def offered(registry: Registry) -> Mapping[str, Sequence[Plugin]]:
    """Return which plugins offer a launcher or sweeper, by its path: ``hydra/launcher/slurm``."""
    alone = {key: [option.plugin] for key, option in registry.options.items()}
    every = {**alone, **registry.clashes}
    return {f"{group}/{name}": found for (group, name), found in every.items() if group in _GROUPS}


def check_unambiguous(
    path: str, plugins: Sequence[Plugin], sources: Iterable[ConfigSource]
) -> None:
    """Refuse a launcher or sweeper that plugins and a package of Hydra's own kind both offer.

    Args:
        path: Its path in the configuration.
        plugins: Who offers it (`offered`).
        sources: Where Hydra looks for configurations.

    Raises:
        PluginError: A package of Hydra's own kind offers it, too.
    """
    group, _, name = path.rpartition("/")
    package = _of_hydras(group, name, plugins) or _shipped(path, sources)
    if package:
        distribution = _distribution(package)
        installed = [plugin.distribution for plugin in plugins]
        installed += [distribution.name] if distribution else []
        theirs = f"{distribution.name} {distribution.version}" if distribution else package
        raise PluginError(
            f"{group}={name} is offered by several packages, so none is taken",
            provider=" and ".join([*map(str, plugins), theirs]),
            hint=" or ".join(f"pip uninstall {each}" for each in installed),
        )


def _of_hydras(group: str, name: str, plugins: Sequence[Plugin]) -> str:
    """Return the package that stored an option beside these plugins; empty if none did."""
    there = ConfigStore.instance().repo.get("hydra", {}).get(group.partition("/")[2], {})
    found = there.get(f"{name}.yaml")
    if found is None or found.provider in {plugin.distribution for plugin in plugins}:
        return ""
    target = found.node.get("_target_") if isinstance(found.node, DictConfig) else None
    return _package(str(target)) if target else found.provider or "another package"


def _shipped(path: str, sources: Iterable[ConfigSource]) -> str:
    """Return the package of Hydra's own kind that has a file of an option; empty if none has."""
    packages = (each for each in sources if each.path.startswith(f"{_HYDRAS}."))
    return next((_package(each.path) for each in packages if each.is_config(path)), "")


def _package(dotted: str) -> str:
    """Return the package below ``hydra_plugins`` that something is in, or else its topmost one."""
    parts = dotted.split(".")
    return ".".join(parts[: 1 + (parts[0] == _HYDRAS)])


def _distribution(package: str) -> Distribution | None:
    """Return the installed distribution that a package came with, if it says so."""
    inner = package.replace(".", "/")
    for each in distributions():
        if any(str(file).startswith((f"{inner}/", f"{inner}.py")) for file in each.files or ()):
            return each
    return None


def load(hydra: DictConfig) -> None:
    """Import the launcher and the sweeper that are chosen, where a plugin registered them.

    Args:
        hydra: The section ``hydra`` of a configuration, checked before by
            `allowlist.check_plugins`.

    Raises:
        PluginError: One of them cannot be imported, or is neither.
    """
    known = Plugins.instance()
    for section, kind in KINDS.items():
        target = str(hydra[section]._get_node("_target_"))
        if target not in known.class_name_to_class:
            known.class_name_to_class[target] = _class_of(section, kind, target)
            _loaded.add(target)
    # Hydra has no hook for classes that lie elsewhere than in its own packages.
    known.is_in_toplevel_plugins_module = _is_known  # type: ignore[method-assign]


def _class_of(section: str, kind: type[Any], target: str) -> type[Any]:
    found = implementation(target)
    if isinstance(found, type) and issubclass(found, kind) and not isabstract(found):
        return found
    raise PluginError(
        f"{target} must be a class derived from {kind.__module__}.{kind.__name__}"
        " with all of its methods",
        hint=f"hydra/{section}=basic",
    )


def _is_known(clazz: str) -> bool:
    return clazz in _loaded or Plugins.is_in_toplevel_plugins_module(clazz)

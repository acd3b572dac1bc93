"""Find and import the extension of a name: a command, a file format, a kind of sub-task, …."""

from __future__ import annotations

import importlib
from typing import Any

from aeros_core.errors import ConfigError, PluginError
from aeros_core.plugins.registry import Health, Plugin, Provided, Registry, nearest

__all__ = ["choose", "clash", "load", "missing", "names", "unusable"]


def names(registry: Registry, group: str) -> list[str]:
    """Return the names of a group that can be chosen, sorted."""
    return sorted(name for found, name in registry.extensions if found == group)


def choose(registry: Registry, group: str, name: str, asked: str, distribution: str) -> Provided:
    """Return the extension of this name.

    Args:
        registry: What discovery found.
        group: As in ``command``.
        name: Its name.
        asked: What the person asked for, as in ``format toy``.
        distribution: The distribution of ours that has it, or none.

    Raises:
        PluginError: No plugin that works offers it, or several do.
    """
    if found := registry.extensions.get((group, name)):
        return found
    if plugins := registry.clashes.get((group, name)):
        raise clash(asked, plugins)
    raise missing(registry, group, name, f"{asked} does not exist", distribution)


def clash(asked: str, plugins: tuple[Plugin, ...], typed: str = "COMMAND") -> PluginError:
    """Return the error that names the plugins of which several offer the same name."""
    return PluginError(
        f"{asked} is offered by several packages, so none is taken",
        provider=" and ".join(str(plugin) for plugin in plugins),
        hint=f"pip uninstall {plugins[-1].distribution},"
        f" or AEROS_PLUGINS={plugins[0].name} {typed} to load that one alone",
    )


def missing(registry: Registry, group: str, name: str, said: str, distribution: str) -> PluginError:
    """Return the error for a name that no plugin which works offers.

    It names the plugins that do not work, as one of them may be what offers the name.

    Args:
        registry: What discovery found.
        group: As in ``command``.
        name: The name; empty where any would do.
        said: The first line of the message.
        distribution: The distribution of ours that has it, or none.
    """
    there = names(registry, group)
    own = [plugin for plugin in registry.plugins if plugin.distribution == distribution]
    failed = [plugin for plugin in registry.plugins if plugin.status is Health.FAILED]
    broken = [plugin for plugin in own if plugin.status is not Health.OK] or failed
    provider = "; ".join(f"{plugin} is {plugin.status}: {plugin.reason}" for plugin in broken)
    if distribution and not own:
        hint = f"pip install {distribution}"
    elif broken:
        hint = broken[0].fix
    else:
        hint = "".join(nearest(name, there)[:1]) or "aeros plugins shows what is installed"
    return PluginError(said, exists=", ".join(there), provider=provider, hint=hint)


def load(provided: Provided, asked: str) -> Any:
    """Import what an extension's target names.

    Args:
        provided: The extension.
        asked: What the person asked for, as in ``format toy``.

    Raises:
        PluginError: It cannot be imported.
    """
    module, _, attributes = provided.record.target.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for name in attributes.split(".") if attributes else ():
            found = getattr(found, name)
    except ConfigError:  # what a person has set is at fault, not the package
        raise
    except (Exception, SystemExit) as error:
        raise unusable(provided, asked, error) from error
    return found


def unusable(provided: Provided, asked: str, error: BaseException) -> PluginError:
    """Return the error for an extension that fails."""
    return PluginError(
        f"{asked} cannot be used: {type(error).__name__}: {error}",
        provider=str(provided.plugin),
        hint=f"pip install --upgrade {provided.plugin.distribution}",
    )

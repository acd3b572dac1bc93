"""The allow-list of what files and words may set below ``hydra``.

Hydra instantiates its launcher, sweeper and callbacks, hands its logging sections to
`logging.config.dictConfig`, sets environment variables and writes files where it is told.
So every option below ``hydra`` that comes from anything but Hydra, its installed plugins and
the configuration of aeros itself has to stand here, with a value of the stated form.
Directories are looked at once more when everything is composed
(`aeros_core.config.loading.directories`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, ListConfig, OmegaConf

from aeros_core.errors import ConfigError

__all__ = ["SETTABLE", "check_plugins", "check_setting", "leaves", "plain_name"]

Rule: TypeAlias = Callable[[Any], bool]

TASK_NAME = "${task.name}"
LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
MODES = ("RUN", "MULTIRUN")


def plain_name(value: Any) -> bool:
    """Tell whether a value can be the name of one file or folder, nothing that leads elsewhere."""
    return isinstance(value, str) and bool(re.fullmatch(r"\.?\w[\w.=,+-]{0,200}", value))


def _text(value: Any) -> bool:
    return isinstance(value, str) and value != "" and "\0" not in value


def _prose(value: Any) -> bool:  # Hydra fills in $WORDS of it
    return isinstance(value, str) and "$" not in value


def _separator(value: Any) -> bool:
    return isinstance(value, str) and bool(re.fullmatch(r"[\w=,.:;@%+-]{0,8}", value))


def _words(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(v, str) and "${" not in v for v in value)


def _verbosity(value: Any) -> bool:
    return isinstance(value, bool) or _words(value) or (_words([value]) and value != "")


SETTABLE: Mapping[str, Rule] = {
    "hydra.run.dir": _text,
    "hydra.sweep.dir": _text,
    "hydra.sweep.subdir": _text,
    "hydra.output_subdir": lambda value: value is None or plain_name(value),
    "hydra.job.name": lambda value: value == TASK_NAME or plain_name(value),
    "hydra.job.chdir": lambda value: value is None or isinstance(value, bool),
    "hydra.job.config.override_dirname.kv_sep": _separator,
    "hydra.job.config.override_dirname.item_sep": _separator,
    "hydra.job.config.override_dirname.exclude_keys": _words,
    "hydra.mode": lambda value: value is None or getattr(value, "name", value) in MODES,
    "hydra.verbose": _verbosity,
    "hydra.hydra_logging.root.level": lambda value: value in LEVELS,
    "hydra.job_logging.root.level": lambda value: value in LEVELS,
    "hydra.help.app_name": _prose,
    "hydra.help.header": _prose,
    "hydra.help.footer": _prose,
}
"""Options of Hydra 1.3's ``HydraConf``, and the form of their values.

All else is Hydra's own (``runtime``, ``overrides``, ``job.num``, ``job.id``), chosen by group
(``hydra/launcher=…``, ``hydra/job_logging=…``), or changes the environment or runs code.
"""

SECTIONS = ("launcher", "sweeper")
"""Parts of Hydra whose options are those that their plugin registered."""


def leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield ``(path, value)`` of everything below a node as it is written, lists as builtins.

    An interpolation is yielded as its text: what it leads to could be a mapping.
    """
    if isinstance(value, DictConfig) and isinstance(value._value(), dict):
        for key in value:
            yield from leaves(value._get_node(key), f"{path}.{key!s}")
    elif isinstance(value, ListConfig) and isinstance(value._value(), list):
        yield path, OmegaConf.to_container(value, resolve=False)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}")
    else:
        yield path, value._value() if hasattr(value, "_value") else value


def check_setting(path: str, value: Any, where: str) -> None:
    """Refuse an option below ``hydra`` that is not on the list, or not of its form.

    Args:
        path: The option, as ``hydra.run.dir``.
        value: Its value as it is written.
        where: The file or the word that sets it.

    Raises:
        ConfigError: It may not be set.
    """
    if _option_of_a_plugin(path, value) or SETTABLE.get(path, _never)(value):
        return
    raise _refusal(path, value, where)


def _never(_value: Any) -> bool:
    return False


def _option_of_a_plugin(path: str, value: Any) -> bool:
    _, section, *names = [*path.split("."), ""][:-1]
    if section not in SECTIONS or not names or any(name.startswith("_") for name in names):
        return False
    swept = ".".join(names[1:]).lstrip("+~ ").partition("=")[0]
    return not swept.startswith("hydra") and not _hidden(value)


def _hidden(value: Any) -> bool:
    """Tell whether a list holds what Hydra would build."""
    if isinstance(value, dict):
        return any(str(key).startswith("_") or _hidden(each) for key, each in value.items())
    return isinstance(value, list) and any(map(_hidden, value))


def check_plugins(hydra: DictConfig) -> None:
    """Refuse a launcher or sweeper that is not registered, or has options that are not.

    Raises:
        ConfigError: The one or the other.
    """
    for section in SECTIONS:
        node, known = hydra.get(section), _registered(section)
        target = str(node._get_node("_target_")) if isinstance(node, DictConfig) else str(node)
        if not isinstance(node, DictConfig) or target not in known:
            raise _refusal(f"hydra.{section}._target_", target, f"hydra/{section}")
        for key in map(str, node):
            if key not in known[target]:
                raise ConfigError(
                    f"hydra.{section}.{key} is not an option of this {section}",
                    exists=", ".join(sorted(known[target] - {"_target_"})) or "none",
                    hint=f"leave hydra.{section}.{key} out, or hydra/{section}=<one that has it>",
                )
            if OmegaConf.is_interpolation(node, key) and isinstance(node[key], DictConfig):
                raise _refusal(f"hydra.{section}.{key}", node._get_node(key), f"hydra/{section}")


def _registered(section: str) -> dict[str, set[str]]:
    """Return the options of each registered launcher or sweeper, by its target."""
    known: dict[str, set[str]] = {}
    for stored in ConfigStore.instance().repo["hydra"].get(section, {}).values():
        node = getattr(stored, "node", None)
        if isinstance(node, DictConfig) and "_target_" in node:
            keys = {str(key) for key in node if key != "defaults"}
            known.setdefault(str(node["_target_"]), set()).update(keys)
    return known


def _refusal(path: str, value: Any, where: str) -> ConfigError:
    section, leaf = [*path.split("."), ""][1], path.rpartition(".")[2]
    if path.startswith(("hydra.job.env_set", "hydra.job.env_copy")):
        return ConfigError(
            f"{path} would change the environment of the process ({where})",
            exists=f"environment variables of the shell; {_settable()}",
            hint=f"export {leaf if leaf.isidentifier() else 'NAME'}=<value> before aeros run",
        )
    if section == "callbacks" or leaf.startswith("_") or section.endswith("_logging"):
        return ConfigError(
            f"{path}={value} would run code that no plugin registered",
            exists="hydra/launcher and hydra/sweeper of installed Hydra plugins",
            provider=where,
            hint="write a callback as an aeros plugin and choose it with callback=[<option>]",
        )
    if path in SETTABLE:
        return ConfigError(
            f"{path}={value} does not have the form of {path}",
            provider=where,
            hint=f"{path}={EXAMPLES.get(path, '<value>')}",
        )
    return ConfigError(
        f"{path} is not an option of Hydra that a configuration may set",
        exists=_settable(),
        provider=where,
        hint=f"take {path} out",
    )


EXAMPLES = {
    "hydra.output_subdir": ".hydra",
    "hydra.job.name": "NAME",
    "hydra.job.chdir": "true",
    "hydra.mode": "MULTIRUN",
    "hydra.verbose": "true",
    "hydra.hydra_logging.root.level": "INFO",
    "hydra.job_logging.root.level": "INFO",
}


def _settable() -> str:
    return ", ".join([*SETTABLE, "hydra.launcher.<option>", "hydra.sweeper.<option>"])

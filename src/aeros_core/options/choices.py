"""How a configuration names the parts that were chosen: by role and option, never by module.

A part of a composed configuration has a ``_target_``, the import path of its class, which
moves with the code. What is stored, or sent to another process, names the choice instead::

    collector:
      _role_: collector
      _option_: fedavg
      _distribution_: aeros-aggregators
      _version_: 0.1.0
      server_lr: 1.0

Records of earlier versions have import paths; `former_targets` tells which options they were.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aeros_core.former_targets import FORMER_TARGETS

__all__ = [
    "DISTRIBUTION",
    "FILE_VERSION",
    "MANY",
    "MARKS",
    "OPTION",
    "ROLE",
    "TARGET",
    "VERSION",
    "distribution_of",
    "is_choice",
    "option_name",
    "options_in",
    "shown",
]

ROLE, OPTION = "_role_", "_option_"
DISTRIBUTION, VERSION = "_distribution_", "_version_"
FILE_VERSION = "sha256:"
"""Beginning of the version of a part that came from a single file (``--plugin FILE.py``)."""
TARGET = "_target_"
MANY = ("transformer", "callback")
"""Groups of which any number of options is chosen, in order."""
MARKS = frozenset({ROLE, OPTION, DISTRIBUTION, VERSION, TARGET})
"""Keys that say what a part is; every other key of it is one of its options."""


def is_choice(node: object) -> bool:
    """Tell whether a node of a configuration describes a part."""
    return isinstance(node, Mapping) and (OPTION in node or TARGET in node)


def options_in(node: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a part, without what says which part it is."""
    return {key: value for key, value in node.items() if key not in MARKS}


def option_name(node: Mapping[str, Any]) -> str:
    """Return the option that a part was chosen by; that of an unknown path is its class."""
    if OPTION in node:
        return str(node[OPTION])
    target = str(node.get(TARGET, ""))
    return FORMER_TARGETS.get(target, (target.rpartition(".")[2],))[0]


def distribution_of(node: Mapping[str, Any]) -> str:
    """Return the distribution that a part came from; of an import path, the one named alike."""
    named = str(node.get(TARGET, "")).partition(".")[0].replace("_", "-")
    return str(node.get(DISTRIBUTION, named))


def shown(node: Mapping[str, Any]) -> str:
    """Return a part as an error names it: ``collector=fedavg``, or its import path."""
    if OPTION in node:
        return f"{node.get(ROLE, '')}={node[OPTION]}"
    return f"{TARGET}={node.get(TARGET, 'nothing')}"

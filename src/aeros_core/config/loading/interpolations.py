"""Which resolvers a configuration may call: none that reads the environment, or makes text code.

``${oc.env:NAME}`` in a stranger's file would end in the run's files and in messages, so the
resolvers of `ALLOWED` are all that there are, whatever other libraries register. The test is
of the text, before anything is resolved, and errs towards refusal.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig, ListConfig

from aeros_core.errors import ConfigError

__all__ = ["check_node", "check_text"]

ALLOWED = ("now", "oc.select", "oc.dict.keys", "oc.dict.values")

_STEP = re.compile(r"\$\{|[:}]")
_NAME = re.compile(r"oc\.env:\s*['\"]?([A-Za-z_]\w*)")


def check_text(text: str, where: str) -> None:
    """Refuse text that calls a resolver which is not allowed, escaped or not.

    Args:
        text: A value, a key, or a word as it was typed.
        where: What names it in the message.

    Raises:
        ConfigError: It calls one.
    """
    for name in _called(text):
        if name not in ALLOWED:
            raise _refusal(text, name, where)


def _called(text: str) -> Iterator[str]:
    """Yield the name of each resolver that a text calls; one that is itself made, as it is."""
    start = text.find("${")
    while start >= 0:
        depth, at = 1, start + 2
        while depth and (step := _STEP.search(text, at)):
            if step.group() == ":" and depth == 1:
                yield text[start + 2 : step.start()].strip()
                break
            depth += {"${": 1, "}": -1, ":": 0}[step.group()]
            at = step.end()
        start = text.find("${", start + 2)


def check_node(node: Any, where: str) -> None:
    """Refuse a configuration in which any key or value calls a resolver that is not allowed.

    Raises:
        ConfigError: One does.
    """
    for text in _texts(node):
        if "${" in text:
            check_text(text, where)


def _texts(node: Any) -> Iterator[str]:
    value = node._value() if isinstance(node, DictConfig | ListConfig) else node
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _texts(key)
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value
    elif hasattr(value, "_value"):
        yield from _texts(value._value())


def _refusal(text: str, name: str, where: str) -> ConfigError:
    if "oc.env" in name or "env" in name.split("."):
        named = _NAME.search(text)
        variable = named[1] if named else "NAME"
        return ConfigError(
            f"{where}: ${{{name}:…}} reads the environment, which configuration does not do",
            exists=f"resolvers {', '.join(ALLOWED)}",
            hint=f"<option>=${variable} on the command line: the shell has ${variable}",
        )
    return ConfigError(
        f"{where}: the resolver '{name}' is not allowed in a configuration",
        exists=", ".join(ALLOWED),
        hint="${hydra.job.num} where ${hydra:job.num} was meant"
        if name == "hydra"
        else "write the value out, or refer to another option as in ${trainer.lr}",
    )

"""The contract of options: what names a file or an address is declared to do so.

Sites decide about such options, so a part must not open or connect to what another
option says. Every kit of this package inherits these tests.
"""

from __future__ import annotations

import dataclasses
import gc
import inspect
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from aeros_core.hookspecs import OPTIONS
from aeros_core.options.metadata import kinds
from aeros_core.testing.audit import bait

__all__ = ["OptionsContract", "undeclared"]

_NAMED = re.compile(
    r"(^|_)(paths?|files?|filename|folders?|dir|directory|urls?|uri|host|hostname|endpoint"
    r"|address|certificate)(_|$)"
)
"""Names of options that say what they name."""

_HOW = {"url": "address", "uri": "address", "host": "address", "endpoint": "address",
        "address": "address", "folder": "folder", "dir": "folder"}  # fmt: skip


class OptionsContract:
    """Tests of the options of any part; a kit says how one is made and used."""

    def part(self) -> Any:
        """Return a new part."""
        return self.make()  # type: ignore[attr-defined]  # every kit has it

    def use(self, part: Any) -> None:
        """Have a part do what it is for, once."""

    def test_options_that_name_files_or_addresses_say_so(self) -> None:
        """An option called like a path or an address is declared with `metadata`."""
        kind = type(self.part())
        config = _config_of(kind)
        named = undeclared(config) if config else _named(_parameters(kind))
        assert not named, _message(kind, config, named)

    def test_opens_and_connects_to_declared_options_alone(self) -> None:
        """Whatever text any other option holds is neither opened nor connected to."""
        kind = type(self.part())
        given, config = self._given(kind), _config_of(kind)
        if given is None:
            pytest.skip("make() does not make the part by calling its class")
        declared = kinds(config) if config else {}
        for name in [n for n, value in given.items() if n not in declared and _is_text(value)]:
            assert not self._takes(kind, given, name), _message(kind, config, [name])

    def _given(self, kind: type[Any]) -> Mapping[str, Any] | None:
        """Return the options that `part` makes a part with; None: they are not known."""
        with _recorded(kind) as calls:
            self.part()
        return dict(list(calls[0].items())[1:]) if calls else None  # without the part itself

    def _takes(self, kind: type[Any], given: Mapping[str, Any], name: str) -> bool:
        """Tell whether an option leads to a file or an address that is then opened."""
        with bait() as laid, _left_open():
            for value in laid.values:
                several = isinstance(given[name], list | tuple)
                with suppress(Exception):  # most values make no sense to it
                    self.use(kind(**{**given, name: [value] if several else value}))
                if laid.taken():
                    return True
        return False


@contextmanager
def _left_open() -> Iterator[None]:
    """Let what a part leaves open when it fails be closed, without a word of it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
        gc.collect()


def undeclared(config: type[Any]) -> list[str]:
    """Return which options of a dataclass are called like paths or addresses, undeclared."""
    declared = kinds(config)
    fields = {field.name: str(field.type) for field in dataclasses.fields(config)}
    return [name for name in _named(fields) if name not in declared]


def _named(types: Mapping[str, str]) -> list[str]:
    """Return the options of these that hold a path, or text and are called like one."""
    return [
        name
        for name, kind in types.items()
        if "Path" in kind or (_NAMED.search(name) and ("str" in kind or "Any" in kind))
    ]


def _parameters(kind: type[Any]) -> dict[str, str]:
    found = inspect.signature(kind).parameters.values()
    return {p.name: str(p.annotation) for p in found if p.annotation is not p.empty}


def _is_text(value: Any) -> bool:
    """Tell whether an option may hold text: it does, or nothing yet."""
    return value is None or isinstance(value, str | list | tuple)


def _config_of(kind: type[Any]) -> type[Any] | None:
    """Return the dataclass of options whose ``_target_`` is a class; None: there is none.

    It is what the package of the class registers, or lies in the module of the class.
    """
    for base in kind.__mro__:
        target = f"{base.__module__}.{base.__qualname__}"
        for config in _offered(base.__module__):
            if getattr(config, "_target_", None) == target:
                return config
    return None


def _offered(module: str) -> Iterator[type[Any]]:
    """Yield the dataclasses that a module holds, and those that its package registers."""
    held, package = sys.modules.get(module), sys.modules.get(module.partition(".")[0])
    for value in list(vars(held).values()) if held else ():
        if isinstance(value, type) and dataclasses.is_dataclass(value):
            yield value
    for hook in OPTIONS:
        if callable(offer := getattr(package, hook, None)):
            yield from dict(offer()).values()


@contextmanager
def _recorded(kind: type[Any]) -> Iterator[list[dict[str, Any]]]:
    """Note the arguments with which objects of a class are made."""
    calls: list[dict[str, Any]] = []
    before, own = kind.__init__, "__init__" in vars(kind)

    def noting(self: Any, *args: Any, **options: Any) -> None:
        if type(self) is kind:
            with suppress(TypeError):
                calls.append(inspect.signature(before).bind(self, *args, **options).arguments)
        before(self, *args, **options)

    kind.__init__ = noting
    try:
        yield calls
    finally:
        if own:
            kind.__init__ = before
        else:
            del kind.__init__


def _message(kind: type[Any], config: type[Any] | None, names: list[str]) -> str:
    """Say what to write, and where."""
    if not names:
        return ""
    where = config.__name__ if config else f"the dataclass whose _target_ is {kind.__qualname__}"
    word = next((w for key, w in _HOW.items() if key in names[0]), "file")
    return (
        f"option '{names[0]}' of {kind.__qualname__} names a file, a folder or an address, and is"
        f" not declared to; in {where} write"
        f" '{names[0]}: str = {word}_option(\"\")', from aeros_core.options.metadata"
        " (file_option, folder_option, address_option), so that a site can decide about it"
    )

"""Options that name something outside the configuration: a file, a folder, an address.

A plugin's dataclass declares them by the fields of this module::

    @dataclass
    class Table:
        _target_: str = "my_package.table.Table"
        path: str = file_option("")
        label: str = "y"

Their type stays that of the field (text, a list of texts, or None). What is declared is
what a site can decide about: an executor takes none of these options from a controller.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from enum import Enum, StrEnum
from typing import Any

__all__ = [
    "MISSING",
    "OptionKind",
    "address_option",
    "current_names",
    "dataset_of",
    "default_of",
    "defaults",
    "file_option",
    "folder_option",
    "former_name",
    "is_list",
    "kinds",
    "renamed",
    "variable_option",
]

MISSING = "???"
"""The default of an option that has to be set, as OmegaConf writes it."""

_KIND, _DATASET, _FORMER = "aeros_kind", "aeros_dataset", "aeros_former_name"


class OptionKind(StrEnum):
    """What an option names outside the configuration."""

    FILE = "file"
    FOLDER = "folder"
    ADDRESS = "address"
    VARIABLE = "variable"

    @property
    def is_path(self) -> bool:
        """Whether it is found in a file system."""
        return self in (OptionKind.FILE, OptionKind.FOLDER)


def file_option(default: Any = None, *, dataset: str = "", former: str = "") -> Any:
    """Return the dataclass field of an option that names a file, or a list of files.

    Args:
        default: Its default: text, None, or a list of texts.
        dataset: Where it lies below the folder of data sets if it is not set (None), see
            `data_files.dataset`.
        former: Its former name, if it had one (`former_name`).
    """
    return _field(default, OptionKind.FILE, dataset, former)


def folder_option(default: Any = None, *, dataset: str = "", former: str = "") -> Any:
    """Return the dataclass field of an option that names a folder; see `file_option`."""
    return _field(default, OptionKind.FOLDER, dataset, former)


def address_option(default: Any = None, *, former: str = "") -> Any:
    """Return the dataclass field of an option that names a host or a URL, or a list of them."""
    return _field(default, OptionKind.ADDRESS, former=former)


def variable_option(default: Any = None, *, former: str = "") -> Any:
    """Return the dataclass field of an option that names a variable of the environment."""
    return _field(default, OptionKind.VARIABLE, former=former)


def former_name(name: str) -> dict[str, str]:
    """Return the metadata of an option that had another name before.

    Records of earlier versions have that name, and it may still be typed::

        min_updates: int | None = field(default=None, metadata=former_name("enough"))
    """
    return {_FORMER: name}


def current_names(config: type[Any]) -> dict[str, str]:
    """Return the options of a dataclass that had another name, ``{former: current}``."""
    return {
        field.metadata[_FORMER]: field.name
        for field in dataclasses.fields(config)
        if _FORMER in field.metadata
    }


def renamed(config: type[Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """Return options by their current names; where both are there, the current one counts."""
    names = current_names(config)
    former = {old for old, new in names.items() if new in options}
    return {names.get(k, k): value for k, value in options.items() if k not in former}


def kinds(config: type[Any]) -> dict[str, OptionKind]:
    """Return which options of a dataclass are declared to name something, and what."""
    return {
        field.name: OptionKind(field.metadata[_KIND])
        for field in dataclasses.fields(config)
        if _KIND in field.metadata
    }


def dataset_of(config: type[Any], name: str) -> str:
    """Return where an option's file lies below the folder of data sets; empty: nowhere."""
    return str(_named(config, name).metadata.get(_DATASET, ""))


def is_list(config: type[Any], name: str) -> bool:
    """Tell whether an option holds a list: of files, for instance."""
    return "list" in str(_named(config, name).type)


def default_of(config: type[Any], name: str) -> Any:
    """Return the default of an option.

    Raises:
        KeyError: The dataclass has no such option.
    """
    field = _named(config, name)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return None if field.default is dataclasses.MISSING else field.default


def defaults(config: type[Any]) -> dict[str, Any]:
    """Return the options of a dataclass that have a default, as plain data: enums by name."""
    return {
        field.name: _plain(default_of(config, field.name))
        for field in dataclasses.fields(config)
        if field.default is not dataclasses.MISSING
        or field.default_factory is not dataclasses.MISSING
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.name
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(_plain(key)): _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _field(default: Any, kind: OptionKind, dataset: str = "", former: str = "") -> Any:
    metadata: Mapping[str, str] = {_KIND: kind.value, _DATASET: dataset}
    if former:
        metadata = {**metadata, **former_name(former)}
    if isinstance(default, list):
        return dataclasses.field(default_factory=lambda: list(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def _named(config: type[Any], name: str) -> dataclasses.Field[Any]:
    return {field.name: field for field in dataclasses.fields(config)}[name]

"""Options that name something outside the configuration, where they stand in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from aeros_core.options.metadata import (
    OptionKind,
    current_names,
    dataset_of,
    default_of,
    is_list,
    kinds,
)

__all__ = ["Located", "naming_outside"]


@dataclass(frozen=True, slots=True)
class Located:
    """An option of a configuration that names a file, a folder, an address or a variable.

    Args:
        where: Its key in the whole, as ``transformer.table.path``.
        name: Its name in the configuration, as ``path``; a former one where it stands there.
        kind: What it names.
        node: The configuration of the part that has it; it may lack the option.
        config: The dataclass that declares it.
    """

    where: str
    name: str
    kind: OptionKind
    node: Mapping[str, Any]
    config: type[Any]

    @property
    def current(self) -> str:
        """Its current name."""
        return current_names(self.config).get(self.name, self.name)

    @property
    def default(self) -> Any:
        """Its value where nothing sets it."""
        return default_of(self.config, self.current)

    @property
    def dataset(self) -> str:
        """Where it lies below the folder of data sets if its value is None; empty: nowhere."""
        return dataset_of(self.config, self.current)

    @property
    def is_list(self) -> bool:
        """Whether it names several."""
        return is_list(self.config, self.current)


def naming_outside(config: type[Any], node: Mapping[str, Any]) -> dict[str, OptionKind]:
    """Return which options of a part name something outside, also by a former name set there.

    Args:
        config: The dataclass that declares the options.
        node: The configuration of the part.
    """
    declared = kinds(config)
    former = {old: new for old, new in current_names(config).items() if old in node}
    return declared | {old: declared[new] for old, new in former.items() if new in declared}

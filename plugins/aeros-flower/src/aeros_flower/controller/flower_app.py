"""Somebody's Flower app: what its nodes are told beside the model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flwr.app import ConfigRecord

from aeros_core.errors import ConfigError
from aeros_flower.superlink import app_bundle

__all__ = ["FlowerApp"]

_OURS = ("server-round", "seed")
"""What every message says by itself."""

_PLAIN = (bool, int, float, str)


@dataclass(frozen=True)
class FlowerApp:
    """A folder that ``flwr run`` takes, and the options of `aeros_flower.config.Flower` for it.

    Args:
        folder: Where it is; None: nodes run aeros.
        train_config: What each message says in its record ``config``, as a strategy's
            ``train_config`` does.
        run_config: What is another in the app's own configuration, as with ``flwr run
            --run-config``; tables may be nested, or their names joined by dots.

    Raises:
        ConfigError: There is no app that would read it, or it cannot be said.
    """

    folder: str | None
    train_config: Mapping[str, Any] = field(default_factory=dict)
    run_config: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check what can be checked before anything is opened."""
        for name in ("train_config", "run_config"):
            if not isinstance(getattr(self, name), Mapping):
                raise ConfigError(
                    f"controller.{name}={getattr(self, name)} is no table of names and values",
                    hint=f"controller.{name}={{lr: 0.01}}",
                )
            if self.folder is None and getattr(self, name):
                raise ConfigError(
                    f"controller.{name} is for somebody's Flower app, and none is named",
                    exists="aeros executors have the task's own options, as trainer.lr=0.1",
                    hint=f"controller.app=FOLDER, or leave controller.{name} out",
                )
        for name, value in self.train_config.items():
            _check(name, value)
        if self.folder is not None and self.run_config:
            self._check_run_config(Path(self.folder))

    def _check_run_config(self, folder: Path) -> None:
        known = _flat(app_bundle.config(folder))
        for name, value in _flat(self.run_config).items():
            if name not in known:
                raise ConfigError(
                    f"controller.run_config: the app of {folder} has no '{name}'",
                    exists=", ".join(sorted(known)) or "nothing in its [tool.flwr.app.config]",
                    hint=f"one of these, or write {name} into {folder / 'pyproject.toml'}",
                )
            if not isinstance(value, _PLAIN):
                raise ConfigError(
                    f"controller.run_config: {name}={value} is no number, text, true or false",
                    exists="Flower's run config holds these, and tables of them",
                    hint=f"controller.run_config={{{name}: 0.01}}",
                )

    @contextmanager
    def configured(self) -> Iterator[str | None]:
        """Return a folder whose app has the run config, for as long as it is bundled from."""
        if self.folder is None or not self.run_config:
            yield self.folder
            return
        with tempfile.TemporaryDirectory(prefix="aeros-") as made:
            app_bundle.unpack(app_bundle.of(Path(self.folder)), Path(made), _flat(self.run_config))
            yield made


def _check(name: str, value: Any) -> None:
    """Refuse what a message cannot say beside the model."""
    if name in _OURS:
        raise ConfigError(
            f"controller.train_config: aeros itself says '{name}' in each message",
            hint="another name, or task.seed" if name == "seed" else "another name",
        )
    try:
        ConfigRecord({name: value})
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"controller.train_config: {name}={value} cannot be said in a message",
            exists="numbers, texts, true and false, and lists of one kind of these",
            hint=f"controller.train_config={{{name}: 0.01}}",
        ) from error
    numbers = value if isinstance(value, list) else [value]
    if any(isinstance(n, int) and not -(2**63) <= n < 2**63 for n in numbers):
        raise ConfigError(
            f"controller.train_config: {name}={value} is beyond 64 bits",
            hint="a smaller number, or a text",
        )


def _flat(config: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested tables as one, names joined by dots, as Flower reads them."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        key = f"{before}{name}"
        found |= _flat(value, f"{key}.") if isinstance(value, Mapping) else {key: value}
    return found

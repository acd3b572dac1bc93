"""Registration hooks of options: each fills a group of the configuration.

A hook returns ``{option name: config dataclass}``. The dataclass has every option with its
default and type; ``_target_`` names the class that implements it, imported when the option is
chosen and never before. The class takes the options as keyword-only arguments without defaults.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aeros_core.hooks.hook_markers import hookspec

__all__ = ["OPTIONS", "OptionHooks"]

OPTIONS = {
    "aeros_controllers": "controller",
    "aeros_collectors": "collector",
    "aeros_codecs": "collector/codec",
    "aeros_rules": "collector/rule",
    "aeros_repositories": "repository",
    "aeros_trainers": "trainer",
    "aeros_inferencers": "inferencer",
    "aeros_transformers": "transformer",
    "aeros_models": "trainer/model",
    "aeros_callbacks": "callback",
    "aeros_launchers": "hydra/launcher",
    "aeros_sweepers": "hydra/sweeper",
}
"""The configuration group that each of these hooks fills."""


class OptionHooks:
    """Called once for every plugin, at discovery."""

    @hookspec
    def aeros_controllers(self) -> Mapping[str, type[Any]]:
        """Offer controllers: ``controller=<option>`` builds a `controller.Controller`.

        Example::

            from dataclasses import dataclass
            from aeros_core import hookimpl

            @dataclass
            class Queue:
                _target_: str = "my_package.controller.Queue"
                slots: int = 4

            @hookimpl
            def aeros_controllers():
                return {"queue": Queue}
        """
        raise NotImplementedError

    @hookspec
    def aeros_collectors(self) -> Mapping[str, type[Any]]:
        """Offer collectors: ``collector=<option>`` builds a `collector.Collector`.

        Example::

            from dataclasses import dataclass
            from aeros_core import hookimpl

            @dataclass
            class Median:
                _target_: str = "my_package.rules.Median"
                trim: float = 0.0

            @hookimpl
            def aeros_collectors():
                return {"median": Median}
        """
        raise NotImplementedError

    @hookspec
    def aeros_codecs(self) -> Mapping[str, type[Any]]:
        """Offer compression of updates: ``collector/codec=<option>`` builds a `codec.Codec`.

        It is compatible with any collector, whose own configuration need not mention it.

        Example::

            from dataclasses import dataclass
            from aeros_core import hookimpl

            @dataclass
            class Signs:
                _target_: str = "my_package.codecs.Signs"
                scale: float = 1.0

            @hookimpl
            def aeros_codecs():
                return {"signs": Signs}
        """
        raise NotImplementedError

    @hookspec
    def aeros_rules(self) -> Mapping[str, type[Any]]:
        """Offer aggregation rules to collectors that hold others: ``collector/rule=<option>``.

        The collector gets a callable, its options bound, that makes a `collector.Collector`. One
        that holds several asks for the others as ``collector/rule@collector.<name>``.

        Example::

            from dataclasses import dataclass
            from aeros_core import hookimpl

            @dataclass
            class Median:
                _target_: str = "my_package.rules.Median"
                trim: float = 0.0

            @hookimpl
            def aeros_rules():
                return {"median": Median}
        """
        raise NotImplementedError

    @hookspec
    def aeros_repositories(self) -> Mapping[str, type[Any]]:
        """Offer repositories: ``repository=<option>`` builds a `repository.Repository`.

        Example::

            from dataclasses import dataclass
            from aeros_core import hookimpl
            from aeros_core.options.metadata import folder_option

            @dataclass
            class Sqlite:
                _target_: str = "my_package.repository.Sqlite"
                path: str = folder_option("my-repository")

            @hookimpl
            def aeros_repositories():
                return {"sqlite": Sqlite}
        """
        raise NotImplementedError

    @hookspec
    def aeros_trainers(self) -> Mapping[str, type[Any]]:
        """Offer trainers: ``trainer=<option>`` builds a `trainer.Trainer`.

        Example::

            from dataclasses import dataclass
            from typing import Any
            from aeros_core import hookimpl

            @dataclass
            class Boosting:
                _target_: str = "my_package.trainer.Boosting"
                trees: int = 100
                model: Any = None

            @hookimpl
            def aeros_trainers():
                return {"boosting": Boosting}
        """
        raise NotImplementedError

    @hookspec
    def aeros_inferencers(self) -> Mapping[str, type[Any]]:
        """Offer inferencers: ``inferencer=<option>`` builds a `inferencer.Inferencer`.

        Example::

            from dataclasses import dataclass
            from aeros_core import hookimpl

            @dataclass
            class Plain:
                _target_: str = "my_package.inferencer.Plain"
                temperature: float = 1.0

            @hookimpl
            def aeros_inferencers():
                return {"plain": Plain}
        """
        raise NotImplementedError

    @hookspec
    def aeros_transformers(self) -> Mapping[str, type[Any]]:
        """Offer transformers: ``transformer=[<option>,…]``.

        An option builds a `transformer.Source`, a `transformer.Transformer` or a
        `transformer.Partitioner`.

        Example::

            from dataclasses import dataclass
            from aeros_core import hookimpl
            from aeros_core.options.metadata import file_option

            @dataclass
            class Sensors:
                _target_: str = "my_package.sources.Sensors"
                path: str = file_option("")

            @hookimpl
            def aeros_transformers():
                return {"sensors": Sensors}
        """
        raise NotImplementedError

    @hookspec
    def aeros_models(self) -> Mapping[str, type[Any]]:
        """Offer models to trainers: ``trainer/model=<option>``.

        ``_target_`` is a class, an ``nn.Module`` for instance, called with the keywords ``inputs``
        (shape of one example), ``outputs`` (number of classes or values) and its options.

        Example::

            from dataclasses import dataclass
            from aeros_core import hookimpl

            @dataclass
            class Deep:
                _target_: str = "my_package.models.Deep"
                width: int = 64

            @hookimpl
            def aeros_models():
                return {"deep": Deep}
        """
        raise NotImplementedError

    @hookspec
    def aeros_callbacks(self) -> Mapping[str, type[Any]]:
        """Offer callbacks: ``callback=[<option>,…]`` builds objects that receive events.

        Example::

            from dataclasses import dataclass
            from aeros_core import hookimpl

            @dataclass
            class Losses:
                _target_: str = "my_package.callbacks.Losses"
                path: str = "losses.txt"

            @hookimpl
            def aeros_callbacks():
                return {"losses": Losses}
        """
        raise NotImplementedError

    @hookspec
    def aeros_launchers(self) -> Mapping[str, type[Any]]:
        """Offer Hydra launchers for sweeps: ``hydra/launcher=<option>``.

        ``_target_`` is a `hydra.plugins.launcher.Launcher`. Its options are set as
        ``hydra.launcher.<name>``, and only those that are declared here.

        Example::

            from dataclasses import dataclass
            from aeros_core import hookimpl

            @dataclass
            class Cluster:
                _target_: str = "my_package.launcher.Cluster"
                queue: str = "short"
                jobs: int = 8

            @hookimpl
            def aeros_launchers():
                return {"cluster": Cluster}
        """
        raise NotImplementedError

    @hookspec
    def aeros_sweepers(self) -> Mapping[str, type[Any]]:
        """Offer Hydra sweepers: ``hydra/sweeper=<option>``.

        ``_target_`` is a `hydra.plugins.sweeper.Sweeper`. Its options are set as
        ``hydra.sweeper.<name>``, and only those that are declared here.

        Example::

            from dataclasses import dataclass, field
            from typing import Any
            from aeros_core import hookimpl

            @dataclass
            class Halving:
                _target_: str = "my_package.sweeper.Halving"
                trials: int = 16
                space: dict[str, Any] = field(default_factory=dict)

            @hookimpl
            def aeros_sweepers():
                return {"halving": Halving}
        """
        raise NotImplementedError

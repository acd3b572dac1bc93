"""Which Flower is installed here, and which one speaks on the other side."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from packaging.version import Version

from aeros_core.errors import ConfigError

__all__ = ["TRIED", "Same", "is_tried", "one_port", "other", "tried"]

TRIED = "1.41.0"
"""The version of flwr whose internals (`aeros_flower.system.flower_internals`) are known."""


_OLDEST, _ONE_PORT = Version("1.38"), Version("1.40")
"""Older programs take other options; from the second on nodes, too, speak HTTP, on one port."""


def is_tried() -> bool:
    """Tell whether the installed flwr is the one whose internals are known."""
    return version("flwr") == TRIED


def one_port() -> bool:
    """Tell whether all of the installed SuperLink is behind one port.

    Raises:
        ConfigError: The installed flwr is too old.
    """
    found = Version(version("flwr"))
    if found < _OLDEST:
        raise ConfigError(
            f"flwr {found} is installed, and is too old",
            exists=f"flwr {TRIED}, or slower any from {_OLDEST} on",
            hint=f"pip install flwr=={TRIED}",
        )
    return found >= _ONE_PORT


def tried() -> None:
    """Make sure of it.

    Raises:
        ConfigError: The installed flwr is another.
    """
    if not is_tried():
        raise ConfigError(
            f"flwr {version('flwr')} is installed; this goes with flwr {TRIED} alone",
            exists="with any version: stock SuperNodes, which aeros run deployment=flower and"
            " aeros executor then use by themselves",
            hint=f"pip install flwr=={TRIED}",
        )


class Same:
    """Looks at each response of the other side for a version that does not go with ours."""

    def intercept(self, context: Any, call_next: Any) -> Any:
        """Pass a request on.

        Raises:
            ConfigError: The other side speaks another version.
        """
        try:
            response = call_next(context)
        except SystemExit as error:  # so Flower ends a process that it will not have
            raise other("it ends the conversation") from error
        if why := response.headers.get("flwr-version-incompatibility-message"):
            raise other(why)
        return response


def other(why: str) -> ConfigError:
    """Return the error that the other side speaks another version of Flower."""
    return ConfigError(
        f"the other side speaks another version of Flower: {why}",
        exists=f"flwr {version('flwr')} here",
        hint="the same version on both sides: pip install flwr==VERSION",
    )

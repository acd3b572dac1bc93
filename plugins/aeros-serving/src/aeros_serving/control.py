"""What clients may do to the models of a server: have them loaded and unloaded."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Set

from aeros_core.errors import ConfigError, PluginError
from aeros_serving.failures import Forbidden, Malformed, Refused, plain, refusal
from aeros_serving.shelf import Shelf

__all__ = ["Control"]

_log = logging.getLogger(__name__)


class Control:
    """Loads and unloads models for clients, of either protocol, and says so in the log.

    Args:
        shelf: The models.
        allowed: Whether clients may.
    """

    def __init__(self, shelf: Shelf, allowed: bool) -> None:
        self._shelf = shelf
        self._allowed = allowed

    async def load(self, name: str, parameters: Mapping[str, object]) -> None:
        """Load a model, or another version of it.

        Args:
            name: Name of the model.
            parameters: ``version``, a version or a tag, and no other.

        Raises:
            Refused: Clients may not, a parameter cannot be, the model is not there or damaged.
        """
        self._check(parameters, {"version"}, "a model is loaded as the repository has it")
        wanted = parameters.get("version", "")
        if isinstance(wanted, bool) or not isinstance(wanted, str | int):
            raise Malformed("parameter 'version' is a version or a tag")
        try:
            version = await self._shelf.load(name, str(wanted))
        except Refused:
            raise
        except Exception as error:
            raise _unloadable(name, error) from error
        _log.info("model '%s': version %d is loaded, as a client asked", name, version)

    async def unload(self, name: str, parameters: Mapping[str, object]) -> None:
        """Take a model down.

        Args:
            name: Name of the model.
            parameters: ``unload_dependents``, which is false, and no other.

        Raises:
            Refused: Clients may not, a parameter cannot be, or the model is not loaded.
        """
        self._check(parameters, {"unload_dependents"}, "a model is unloaded by its name alone")
        if parameters.get("unload_dependents", False) is not False:
            raise Malformed("parameter 'unload_dependents' is false: no model here depends on one")
        await self._shelf.unload(name)
        _log.info("model '%s' is unloaded, as a client asked", name)

    def _check(self, parameters: Mapping[str, object], known: Set[str], why: str) -> None:
        if not self._allowed:
            raise Forbidden("models are not loaded or unloaded by clients here")
        if strange := sorted(parameters.keys() - known):
            told = f"parameter '{strange[0][:100]}' is not taken"
            raise Malformed(f"{told}: {why}; parameters: {', '.join(known)}")


def _unloadable(name: str, error: Exception) -> Refused:
    """Return what it means to a client that a model which is there cannot be loaded."""
    if isinstance(error, ConfigError):
        _log.warning("model '%s' is not loaded: %s", name, error)
    if isinstance(error, ConfigError) and not isinstance(error, PluginError):
        return Refused(f"{plain(error)}; the server's log says more")
    return refusal(error)

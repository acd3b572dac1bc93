"""What clients may ask of a server beside predictions: to load and unload, and how it fares."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Set

from aeros_core.errors import ConfigError, PluginError
from aeros_serving.control.controller import Entry
from aeros_serving.control.process_group import ProcessGroup, ServerReport
from aeros_serving.control.report import VersionReport
from aeros_serving.protocol.errors import Forbidden, Malformed, Refused, plain, refusal

__all__ = ["Control"]

_log = logging.getLogger(__name__)


class Control:
    """Loads and unloads models for clients of either protocol, in all processes, and logs it.

    Args:
        group: The processes of the server.
        allowed: Whether clients may.
    """

    def __init__(self, group: ProcessGroup, allowed: bool) -> None:
        self._group = group
        self._allowed = allowed

    async def load(self, name: str, parameters: Mapping[str, object]) -> None:
        """Load a model, or another version of it.

        Args:
            name: Name of the model.
            parameters: ``version``, a version or a tag, and no other.

        Raises:
            Refused: Clients may not, a parameter does not exist, the model is not there or
                damaged.
        """
        self._check(parameters, {"version"}, "a model is loaded as the repository has it")
        wanted = parameters.get("version", "")
        if isinstance(wanted, bool) or not isinstance(wanted, str | int):
            raise Malformed("parameter 'version' is a version or a tag")
        try:
            version = await self._group.load(name, str(wanted))
        except Refused:
            raise
        except Exception as error:
            raise _unloadable(name, error) from error
        _log.info("model '%s': version %d is loaded, as a client asked", name, version)

    async def unload(self, name: str, parameters: Mapping[str, object]) -> None:
        """Unload a model.

        Args:
            name: Name of the model.
            parameters: ``unload_dependents``, which is false, and no other.

        Raises:
            Refused: Clients may not, a parameter does not exist, or the model is not loaded.
        """
        self._check(parameters, {"unload_dependents"}, "a model is unloaded by its name alone")
        if parameters.get("unload_dependents", False) is not False:
            raise Malformed("parameter 'unload_dependents' is false: no model here depends on one")
        await self._group.unload(name)
        _log.info("model '%s' is unloaded, as a client asked", name)

    async def index(self, ready: bool) -> list[Entry]:
        """Return every version in the repository, or those that are loaded."""
        return await self._group.index(ready)

    async def ready(self) -> bool:
        """Tell whether all processes of the server take requests."""
        return await self._group.ready()

    async def report(self) -> ServerReport:
        """Return what all processes of the server have done together."""
        return await self._group.report()

    async def versions(self, name: str = "", version: str = "") -> list[VersionReport]:
        """Return what versions have done in all processes; by default all that are loaded."""
        report = await self._group.report()
        return [
            each
            for each in report.versions
            if name in ("", each.name) and version in ("", str(each.version))
        ]

    def _check(self, parameters: Mapping[str, object], known: Set[str], why: str) -> None:
        if not self._allowed:
            raise Forbidden("models are not loaded or unloaded by clients here")
        if strange := sorted(parameters.keys() - known):
            text = f"parameter '{strange[0][:100]}' is not taken"
            raise Malformed(f"{text}: {why}; parameters: {', '.join(known)}")


def _unloadable(name: str, error: Exception) -> Refused:
    """Return what it means to a client that a model which is there cannot be loaded."""
    if isinstance(error, ConfigError):
        _log.warning("model '%s' is not loaded: %s", name, error)
    if isinstance(error, ConfigError) and not isinstance(error, PluginError):
        return Refused(f"{plain(error)}; the server's log says more")
    return refusal(error)

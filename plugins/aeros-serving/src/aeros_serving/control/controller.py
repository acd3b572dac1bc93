"""Which versions are deployed: what clients ask for, tags that move, canaries."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import dataclass, field
from typing import Protocol

from aeros_core.errors import AerosError
from aeros_core.records import ModelInfo
from aeros_core.roles.repository import Repository
from aeros_serving.config import Serving
from aeros_serving.control.references import tags_of, version_of
from aeros_serving.models.background import Background
from aeros_serving.models.deployment import Target
from aeros_serving.protocol.errors import Refused, Unavailable, Unknown, plain, short

__all__ = ["RETRY", "DeploymentController", "Entry", "Processes"]

_log = logging.getLogger(__name__)

RETRY = 60.0
"""Seconds until a version that could not be loaded is tried once more: it may be repaired."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the repository's index."""

    name: str
    version: str
    state: str
    reason: str


class Processes(Protocol):
    """The processes of a server, which carry out a change together: all of them or none."""

    async def prepare(self, target: Target) -> None:
        """Load and warm what a target needs, in all processes.

        Raises:
            Exception: One of them cannot.
        """

    async def commit(self, target: Target) -> None:
        """Let a prepared target predict, in all processes."""

    async def discard(self, target: Target) -> None:
        """Unload what was prepared and is not committed."""

    async def drained(self, name: str) -> None:
        """Return once versions that were taken out have predicted what waited."""


@dataclass(slots=True)
class _Followed:
    """A model that is deployed.

    Args:
        target: Its versions that are served.
        ref: The version or tag that is followed.
        failed: Versions that could not be loaded, and why.
        again: When each of them is tried once more, monotonic.
    """

    target: Target
    ref: str
    failed: dict[int, str] = field(default_factory=dict)
    again: dict[int, float] = field(default_factory=dict)

    def tries(self, version: int) -> bool:
        """Tell whether a version may be loaded: one that failed only after a while."""
        return time.monotonic() >= self.again.get(version, 0.0)


@dataclass(frozen=True, slots=True)
class Absent:
    """A model that was asked for and could not be loaded.

    Args:
        ref: The version or tag that was asked for.
        why: Why it could not be loaded.
        again: When it is tried once more, monotonic.
    """

    ref: str
    why: str
    again: float


class DeploymentController:
    """Decides which versions are served, and has them loaded, one change at a time.

    Args:
        repository: Where the models are.
        options: Options of the server.
        processes: What serves them.

    Attributes:
        changing: Held while something changes.
        failures: How often a version could not be loaded, by the name of the model.
        absent: Models that were asked for and could not be loaded, and why.
    """

    def __init__(self, repository: Repository, options: Serving, processes: Processes) -> None:
        self._repository = repository
        self._options = options
        self._processes = processes
        self._followed: dict[str, _Followed] = {}
        self._refs: dict[str, str] = {}
        self._background = Background()
        self.changing = asyncio.Lock()
        self.failures: dict[str, int] = {}
        self.absent: dict[str, Absent] = {}

    @property
    def targets(self) -> list[Target]:
        """Every model that is deployed."""
        return [each.target for each in self._followed.values()]

    async def load(self, name: str, ref: str = "") -> int:
        """Load a model, or look again which version its tag points to; return the version.

        Args:
            name: Name of the model.
            ref: A version or a tag; empty: what it was first loaded by, or ``latest``.

        Raises:
            AerosError: It is not there, damaged, or cannot predict.
        """
        async with self.changing:
            followed = self._followed.get(name)
            ref = ref or self._refs.get(name, "latest")
            version = await self._number(name, ref)
            new = followed is None
            if followed is None:
                followed = _Followed(Target(name, 0), ref)
            await self._go_live(followed, version)
            followed.ref = ref
            self._followed[name] = followed
            self._refs.setdefault(name, ref)
            await self._try_canary(followed, new)
            return version

    async def load_at_start(self, name: str, ref: str = "") -> None:
        """Load a model; where that fails it is listed in the index, and tried once more later.

        Raises:
            AerosError: It is not there, damaged, or cannot predict.
        """
        try:
            await self.load(name, ref)
        except Exception as error:
            self.absent[name] = Absent(ref, plain(error), time.monotonic() + RETRY)
            raise
        self.absent.pop(name, None)

    async def unload(self, name: str) -> None:
        """Unload a model; return once it has predicted what waits, or ``serving.drain`` is over.

        Raises:
            Unknown: No such model is loaded.
        """
        async with self.changing:
            if name not in self._followed:
                loaded = ", ".join(self._followed) or "none"
                raise Unknown(f"model '{short(name)}' is not loaded; models: {loaded}")
            del self._followed[name]
            await self._processes.commit(Target(name, 0))
        try:
            async with asyncio.timeout(self._options.drain):
                await self._processes.drained(name)
        except TimeoutError:
            text = "model '%s' is unloaded, and still computes after serving.drain=%g s"
            _log.warning(text, name, self._options.drain)

    async def follow(self) -> None:
        """Look again and again whether a tag has moved, and swap; runs until it is cancelled."""
        while True:
            await asyncio.sleep(self._options.poll)
            now = time.monotonic()
            again = [name for name, absent in self.absent.items() if now >= absent.again]
            for name in [*self._followed, *again]:
                try:
                    if name in self.absent:
                        await self.load_at_start(name, self.absent[name].ref)
                    await self._look(name)
                except (AerosError, Refused) as error:
                    _log.warning("model '%s' stays as it is: %s", name, error)
                except Exception:
                    _log.exception("model '%s' stays as it is", name)

    async def _look(self, name: str) -> None:
        async with self.changing:
            if (followed := self._followed.get(name)) is None:
                return
            fixed = followed.ref.isdecimal()  # and may have been removed since
            live = followed.target.live
            version = live if fixed else await self._number(name, followed.ref)
            if followed.tries(version):
                await self._go_live(followed, version)
            await self._try_canary(followed)

    async def _go_live(self, followed: _Followed, version: int) -> None:
        """Let a version predict from now on; the one before predicts what waits for it."""
        before = followed.target
        if before.live == version:
            return
        kept = before.canary if before.canary != version else 0
        share = before.share if kept else 0.0
        await self._change(followed, version, Target(before.name, version, kept, share))
        followed.failed.clear()
        followed.again.clear()
        if before.live:
            _log.info("model '%s': version %d answers", before.name, version)

    async def _try_canary(self, followed: _Followed, new: bool = False) -> None:
        """Load, keep or drop the canary, as its tag says."""
        tag, share = self._options.canary, self._options.canary_share
        if not tag or not share:
            return
        before = followed.target
        infos = await self._background.run(self._repository.models, before.name)
        tagged = [info.version for info in infos if tag in info.tags]
        if new and not tagged:
            text = "serving.canary=%s: no version of model '%s' has that tag yet; tags: %s"
            _log.warning(text, tag, before.name, tags_of(infos))
        wanted = tagged[0] if tagged and tagged[0] != before.live else 0
        if wanted == before.canary or not followed.tries(wanted):
            return
        target = Target(before.name, before.live, wanted, share if wanted else 0.0)
        await self._change(followed, wanted, target)
        if wanted:
            text = "model '%s': version %d answers %g of the requests, as the canary '%s'"
            _log.info(text, before.name, wanted, share, tag)
        else:
            _log.info("model '%s': no canary answers any more", before.name)

    async def _change(self, followed: _Followed, version: int, target: Target) -> None:
        """Carry out a change in all processes, or in none."""
        name = target.name
        try:
            await self._processes.prepare(target)
        except BaseException as error:
            await self._processes.discard(target)
            if isinstance(error, Exception):
                self.failures[name] = self.failures.get(name, 0) + 1
                # A process may have ended whatever the version is: once more, then as any other.
                chance = isinstance(error, Unavailable) and version not in followed.failed
                followed.again[version] = time.monotonic() + (0.0 if chance else RETRY)
                followed.failed[version] = plain(error)
            raise
        followed.target = target  # a process that starts from now on begins with it
        await self._processes.commit(target)

    async def _number(self, name: str, ref: str) -> int:
        """Return the version that a version or a tag names."""
        infos = await self._background.run(self._repository.models, name)
        if not infos:
            stored = await self._background.run(self._repository.models)
            names = ", ".join(sorted({info.name for info in stored})) or "none at all"
            raise Unknown(f"model '{short(name)}' is not in the repository; models: {names}")
        return version_of(name, infos, ref)

    async def index(self, ready: bool = False) -> list[Entry]:
        """Return every version of every model in the repository, or those that are loaded."""
        loaded = {
            (target.name, version): Entry(target.name, str(version), "READY", "")
            for target in self.targets
            for version in sorted(target.versions)
        }
        if ready:
            return list(loaded.values())
        for info in await self._background.run(self._repository.models):
            why = self._why_not(info)
            entry = Entry(info.name, str(info.version), "UNAVAILABLE", why or "not loaded")
            loaded.setdefault((info.name, info.version), entry)
        names = {name for name, _ in loaded}
        for name in self.absent.keys() - names:
            loaded[name, 0] = Entry(name, "", "UNAVAILABLE", self.absent[name].why)
        return [loaded[key] for key in sorted(loaded)]

    def _why_not(self, info: ModelInfo) -> str:
        """Return why loading a version failed; empty if loading it was never requested."""
        if (followed := self._followed.get(info.name)) is not None:
            return followed.failed.get(info.version, "")
        absent = self.absent.get(info.name)
        return absent.why if absent is not None else ""

    @property
    def reading(self) -> bool:
        """Whether the repository is being read."""
        return self._background.working

    def close(self) -> None:
        """End the thread that reads the repository."""
        self._background.close()

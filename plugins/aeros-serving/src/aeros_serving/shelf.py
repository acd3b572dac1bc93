"""The models of a server: which versions are loaded, which one answers, and when that changes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aeros_core.errors import AerosError
from aeros_core.records import ModelInfo
from aeros_serving.background import Background
from aeros_serving.batching import Batching
from aeros_serving.config import Serving
from aeros_serving.failures import Refused, Unavailable, Unknown, plain, short
from aeros_serving.lane import Lane
from aeros_serving.served import Loader
from aeros_serving.slot import Slot

__all__ = ["Entry", "Shelf"]

_log = logging.getLogger(__name__)

_SHOWN = 10
"""Versions that a message names: the newest."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the repository's index."""

    name: str
    version: str
    state: str
    reason: str


class Shelf:
    """Loads, swaps and unloads models; asked for a lane by every request.

    Args:
        loader: Takes versions up.
        options: Options of the server.

    Attributes:
        failures: How often a version could not be taken up, by the name of the model.
    """

    def __init__(self, loader: Loader, options: Serving) -> None:
        self._loader = loader
        self._options = options
        self._slots: dict[str, Slot] = {}
        self._refs: dict[str, str] = {}
        self._changing = asyncio.Lock()
        self._leaving: dict[asyncio.Task[None], list[Lane]] = {}
        self._background = Background()
        self.failures: dict[str, int] = {}
        self.closing = False

    def __iter__(self) -> Iterator[Slot]:
        """Yield every model that is loaded."""
        return iter(self._slots.values())

    @property
    def ready(self) -> bool:
        """Whether requests are taken."""
        return not self.closing

    def lane(self, name: str, version: str = "") -> Lane:
        """Return what answers a request for a model, of a version if one is named.

        Raises:
            Unknown: No such model or version is loaded.
            Unavailable: The server is about to end.
        """
        slot = self._slot(name)
        if self.closing:
            raise Unavailable("the server is about to end")
        if not version:
            return slot.pick()
        for lane in slot.lanes:
            if str(lane.served.version) == version:
                return lane
        raise self._unloaded(slot, version)

    def loaded(self, name: str, version: str = "") -> tuple[Slot, list[Lane]]:
        """Return a model, and those of its versions that are loaded and asked for.

        Raises:
            Unknown: No such model or version is loaded.
        """
        slot = self._slot(name)
        lanes = [each for each in slot.lanes if version in ("", str(each.served.version))]
        if not lanes:
            raise self._unloaded(slot, version)
        return slot, lanes

    def _unloaded(self, slot: Slot, version: str) -> Unknown:
        told = ", ".join(str(lane.served.version) for lane in slot.lanes)
        return Unknown(
            f"model '{slot.name}' has no version '{short(version)}' loaded; versions: {told}"
        )

    def _slot(self, name: str) -> Slot:
        try:
            return self._slots[name]
        except KeyError:
            told = ", ".join(self._slots) or "none"
            raise Unknown(f"model '{short(name)}' is not loaded; models: {told}") from None

    async def load(self, name: str, ref: str = "") -> int:
        """Load a model, or look again which version its tag points to; return the version.

        Args:
            name: Name of the model.
            ref: A version or a tag; empty: what it was first loaded by, or ``latest``.

        Raises:
            AerosError: It is not there, damaged, or cannot answer.
        """
        async with self._changing:
            slot = self._slots.get(name)
            ref = ref or self._refs.get(name, "latest")
            version = await self._number(name, ref)
            new = slot is None
            if slot is None:
                self._slots[name] = Slot(name, ref, await self._lane(name, version))
            else:
                await self._swap(slot, version)
                slot.ref = ref
            self._refs.setdefault(name, ref)
            await self._try(self._slots[name], new)
            return version

    async def unload(self, name: str) -> None:
        """Take a model down once it has answered what waits.

        Raises:
            Unknown: No such model is loaded.
        """
        async with self._changing:
            slot = self._slot(name)
            del self._slots[name]
        await asyncio.gather(*[self._leave(lane) for lane in slot.lanes])

    async def follow(self) -> None:
        """Look again and again whether a tag has moved, and swap; runs until it is cancelled."""
        while True:
            await asyncio.sleep(self._options.poll)
            for name in list(self._slots):
                try:
                    await self._look(name)
                except (AerosError, Refused) as error:
                    _log.warning("model '%s' stays as it is: %s", name, error)
                except Exception:
                    _log.exception("model '%s' stays as it is", name)

    async def _look(self, name: str) -> None:
        async with self._changing:
            if (slot := self._slots.get(name)) is not None and not self.closing:
                fixed = slot.ref.isdecimal()  # and may have been removed since
                version = slot.live.served.version if fixed else await self._number(name, slot.ref)
                if slot.tries(version):
                    await self._swap(slot, version)
                await self._try(slot)

    async def _swap(self, slot: Slot, version: int) -> None:
        """Let a version answer from now on; the one before answers what waits for it."""
        before = slot.live
        if before.served.version == version:
            return
        if slot.canary is not None and slot.canary.served.version == version:
            slot.live, slot.canary = slot.canary, None
        else:
            slot.live = await self._kept(slot, version)
        slot.failed.clear()
        slot.again.clear()
        self._leave(before)
        _log.info("model '%s': version %d answers", slot.name, version)

    async def _kept(self, slot: Slot, version: int) -> Lane:
        try:
            return await self._lane(slot.name, version)
        except Exception as error:
            slot.fails(version, plain(error))
            raise

    async def _try(self, slot: Slot, new: bool = False) -> None:
        """Load, keep or drop the canary, as its tag says."""
        tag, share = self._options.canary, self._options.canary_share
        if not tag or not share:
            return
        infos = await self._background.run(self._loader.repository.models, slot.name)
        tagged = [info.version for info in infos if tag in info.tags]
        if new and not tagged:
            told = "serving.canary=%s: no version of model '%s' has that tag yet; tags: %s"
            _log.warning(told, tag, slot.name, _tags(infos))
        wanted = tagged[0] if tagged and tagged[0] != slot.live.served.version else None
        there = slot.canary.served.version if slot.canary is not None else None
        if wanted == there or (wanted is not None and not slot.tries(wanted)):
            return
        before = slot.canary
        slot.canary = None if wanted is None else await self._kept(slot, wanted)
        slot.share, slot.turn = share, 0.0
        if wanted is None:
            _log.info("model '%s': no canary answers any more", slot.name)
        else:
            told = "model '%s': version %d answers %g of the requests, as the canary '%s'"
            _log.info(told, slot.name, wanted, share, tag)
        if before is not None:
            self._leave(before)

    def _leave(self, lane: Lane) -> asyncio.Task[None]:
        last = [lane]
        task = asyncio.get_running_loop().create_task(self._gone(last))
        self._leaving[task] = last
        task.add_done_callback(lambda done: self._leaving.pop(done, None))
        return task

    async def _gone(self, last: list[Lane]) -> None:
        """Let a version answer what waits, and free its memory where nobody waits for it."""
        await last[0].drain()
        await self._background.run(last.clear)

    async def _lane(self, name: str, version: int) -> Lane:
        # Before anything is served nobody is held up, and the start need not give way.
        run = self._background.run if self._slots else asyncio.to_thread
        try:
            served = await run(self._loader.load, name, version)
        except Exception:
            self.failures[name] = self.failures.get(name, 0) + 1
            raise
        batching = Batching.of(self._options, name)
        return Lane(served, batching, self._options.where, asyncio.get_running_loop())

    async def _number(self, name: str, ref: str) -> int:
        infos = await self._background.run(self._loader.repository.models, name)
        if not infos:
            stored = await self._background.run(self._loader.repository.models)
            told = ", ".join(sorted({info.name for info in stored})) or "none at all"
            raise Unknown(f"model '{short(name)}' is not in the repository; models: {told}")
        return _numbered(name, infos, ref) if ref.isdecimal() else _tagged(name, infos, ref)

    async def index(self, ready: bool = False) -> list[Entry]:
        """Return every version of every model in the repository, or those that are loaded."""
        loaded = {
            (slot.name, lane.served.version): Entry(
                slot.name, str(lane.served.version), "READY", ""
            )
            for slot in self
            for lane in slot.lanes
        }
        if ready:
            return list(loaded.values())
        infos = await self._background.run(self._loader.repository.models)
        for info in infos:
            slot = self._slots.get(info.name)
            why = slot.failed.get(info.version, "") if slot else ""
            entry = Entry(info.name, str(info.version), "UNAVAILABLE", why or "not loaded")
            loaded.setdefault((info.name, info.version), entry)
        return [loaded[key] for key in sorted(loaded)]

    async def drain(self) -> None:
        """Take no more requests, and return once all that wait are answered."""
        self.closing = True
        lanes = [lane for slot in self for lane in slot.lanes]
        await asyncio.gather(*(lane.drain() for lane in lanes), *self._leaving)

    def give_up(self) -> int:
        """Tell all that still wait that the server has ended; return how many they are."""
        self.closing = True
        leaving = [lane for last in self._leaving.values() for lane in last]
        return sum(lane.give_up() for lane in [*leaving, *(x for s in self for x in s.lanes)])

    def close(self) -> None:
        """End the thread in which versions come and go; the last of all."""
        self._background.close()


def _numbered(name: str, infos: Sequence[ModelInfo], version: str) -> int:
    for info in infos:
        if version.lstrip("0") == str(info.version):
            return info.version
    told = ", ".join(str(info.version) for info in infos[-_SHOWN:])
    more = "…, " if len(infos) > _SHOWN else ""
    raise Unknown(f"model '{name}' has no version {version[:20]}; versions: {more}{told}")


def _tagged(name: str, infos: Sequence[ModelInfo], tag: str) -> int:
    for info in infos:
        if tag in info.tags:
            return info.version
    if tag == "latest":
        return max(info.version for info in infos)
    raise Unknown(f"model '{name}' has no tag '{short(tag)}'; tags: {_tags(infos)}")


def _tags(infos: Sequence[ModelInfo]) -> str:
    return ", ".join(sorted({tag for info in infos for tag in info.tags})) or "none"

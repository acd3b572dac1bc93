"""A lock that has to be renewed, for stores without locks of the operating system: buckets.

    <folder>/<n>.json     the n-th holder; the highest number has the lock

A process takes the lock by creating the next number, which succeeds for one process only
(`Store.create`), and rewrites that file every `BEAT` seconds. A lock that was not renewed for
`LEASE` seconds, by the clock of the endpoint, can be taken over by creating the next number.
No conditional writes are needed, and a holder that was suspended sees the higher number before
it stores anything. Numbers are never reused: the last file stays after a release.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from aeros_zarr.locks.messages import Locked, Lost
from aeros_zarr.locks.owner import Holder
from aeros_zarr.stores.layout import numbers
from aeros_zarr.stores.store import Store

__all__ = ["BEAT", "LEASE", "Lease"]

BEAT = 10.0
"""Seconds from one renewal to the next."""

LEASE = 60.0
"""Seconds after which a lock that was not renewed is taken over."""

_TRIES = 3
"""Attempts of a release; if all fail, the lock expires."""

_HELD: set[str] = set()
"""Tokens of the leases that this process holds."""

_SURE = 0.6
"""Fraction of `LEASE` during which a holder need not check the store again."""


class Lease:
    """A lock of this process, renewed by a thread.

    Args:
        store: The store that holds the lock.
        folder: Key of the lock's folder.
        holder: Description of this process.

    Raises:
        Locked: Another process holds the lock.
        OSError: The store cannot be read or written.
    """

    def __init__(self, store: Store, folder: str, holder: Holder) -> None:
        self._store = store
        self._folder = folder
        self._holder = holder
        self._lost: Holder | None = None
        self._renewing = threading.Lock()
        self._stop = threading.Event()
        self._number = self._taken()
        self._renewed = _now()
        _HELD.add(holder.token)
        threading.Thread(target=self._beat, name="aeros-lease", daemon=True).start()

    def check(self) -> None:
        """Check that this process still holds the lock.

        Raises:
            Lost: Another process has taken it over.
            OSError: The store does not respond, and another process may have taken it over.
        """
        if self._lost is None and _now() - self._renewed > _SURE * LEASE:
            self._renew()
        if self._lost is not None:
            raise Lost(self._lost)

    def release(self) -> None:
        """Release the lock."""
        self._stop.set()
        _HELD.discard(self._holder.token)
        for _ in range(_TRIES):
            with suppress(OSError), self._renewing:
                if self._newest() == self._number:
                    self._store.replace(self._key(self._number), self._holder.gone().dump())
                return

    def _taken(self) -> int:
        """Take the lock; return the number of this holder."""
        number = self._newest()
        if number:
            self._check_free(number)
        if not self._store.create(self._key(number + 1), self._holder.dump()):
            raise Locked(self._read(self._newest()))
        if number:
            self._store.remove(*(self._key(n) for n in self._numbers() if n <= number))
        return number + 1

    def _check_free(self, number: int) -> None:
        """Check that the last holder has ended, or that its lease has expired.

        Raises:
            Locked: The last holder is alive, or may be.
        """
        holder = self._read(number)
        if holder is not None and (holder.is_dead or holder.let_go_here(_HELD)):
            return
        written = self._store.modified(self._key(number))
        age = None if written is None else self._store.now() - written
        if age is not None and age < LEASE:
            raise Locked(holder, age, LEASE)

    def _beat(self) -> None:
        while not self._stop.wait(BEAT) and self._lost is None:
            with suppress(OSError):
                self._renew()

    def _renew(self) -> None:
        with self._renewing:
            began, newest = _now(), self._newest()
            if newest != self._number:
                self._lost = self._read(newest) or self._holder
            elif not self._stop.is_set():
                self._store.replace(self._key(self._number), self._holder.dump())
                self._renewed = began

    def _read(self, number: int) -> Holder | None:
        with suppress(FileNotFoundError):
            return Holder.of(self._store.read(self._key(number)))
        return None

    def _newest(self) -> int:
        return max(self._numbers(), default=0)

    def _numbers(self) -> list[int]:
        return numbers(self._store.files(self._folder))

    def _key(self, number: int) -> str:
        return f"{self._folder}/{number}.json"


def _now() -> float:
    """Return monotonic seconds that include time while the machine is suspended."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))

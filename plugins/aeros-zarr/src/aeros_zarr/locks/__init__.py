"""Locks that say which process holds a run.

Begin with `file_lock`, a lock of the operating system; `owner` says who holds it, `messages` how
that is told.

Locks that have to be renewed do not belong here, see `aeros_zarr.stores.lease`.
"""

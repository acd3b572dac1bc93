"""Locks that make one process the owner of a run.

Begin with `file_lock`, a lock of the operating system; `owner` describes the process that holds
it, `messages` the errors.

Locks that have to be renewed do not belong here, see `aeros_zarr.stores.lease`.
"""

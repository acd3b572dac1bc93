"""Stores with atomic writes: a file or folder appears complete or not at all.

Begin with `store`, the Protocol, and `disk`; `aeros_zarr.stores.s3` is the other implementation.
`layout` defines the keys of records.

The content of files does not belong here, see `aeros_zarr.format`.
"""

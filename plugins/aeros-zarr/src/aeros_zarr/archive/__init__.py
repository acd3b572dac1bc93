"""Runs, models and algorithms in any store.

Begin with `repository`, the implementation of the role, and `records`, between records and
manifests. `maintenance` verifies, heals and collects.

Arrays and their bytes do not belong here, see `aeros_zarr.blobs` and `aeros_zarr.format`.
"""
